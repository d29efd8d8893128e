package console

import "net/http"

// Distance and NameText are for their tables of tests, ParseSpan and TypedSpan for fuzzing.
var (
	Distance  = distance
	NameText  = nameText
	ParseSpan = parseSpan
	TypedSpan = typedSpan
)

// Refuse answers a request with an error.
func (c *Console) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	c.protect(w.Header())
	(&call{c: c, w: w, r: r}).refuse(err)
}

// Patterns returns the patterns of all pages and forms.
func Patterns() []string {
	var patterns []string
	for _, t := range allRoutes() {
		patterns = append(patterns, t.pattern)
	}
	return patterns
}
