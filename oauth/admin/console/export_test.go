package console

// Table returns the patterns of all pages and forms.
func Table() []string {
	var patterns []string
	for _, t := range table() {
		patterns = append(patterns, t.pattern)
	}
	return patterns
}
