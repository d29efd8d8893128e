package console

// ParseTimes and TypedTime are the seam for fuzzing.
var (
	ParseTimes = parseTimes
	TypedTime  = typedTime
)

// Table returns the patterns of all pages and forms.
func Table() []string {
	var patterns []string
	for _, t := range table() {
		patterns = append(patterns, t.pattern)
	}
	return patterns
}
