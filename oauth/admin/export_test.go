package admin

import "net/http"

// Entry is a route of the table, for tests that start from it.
type Entry struct {
	Method, Pattern string
	Query           []string
	Public          bool
}

// Table returns the routes.
func Table() []Entry {
	var table []Entry
	for _, t := range routes() {
		table = append(table, Entry{t.method, t.pattern, t.query, t.public})
	}
	return table
}

// Find returns the pattern and parameters of a request below the prefix, or
// an empty one.
func Find(r *http.Request) (pattern string, params map[string]string) {
	match, params, _ := find(routes(), r)
	if match == nil {
		return "", nil
	}
	return match.pattern, params
}

// Refuse answers a request with an error. conditional: it named a version.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, conditional bool, err error) {
	(&call{h: h, w: w, r: r, conditional: conditional}).refuse(err)
}

// Document is the OpenAPI document.
func Document() []byte { return document }

// CutETag takes the first entity-tag off a list.
func CutETag(list string) (tag, rest string, ok bool) { return cutETag(list) }
