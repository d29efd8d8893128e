package oauth_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestREADME tests that the README's code is a part of Example, line for line, so
// that it compiles and runs.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)

	_, rest, found := strings.Cut(string(readme), "```go\n")
	require.True(t, found, "the README has a Go block")
	block, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	require.Greater(t, strings.Count(block, "\n"), 20)

	var unindented strings.Builder
	for line := range strings.Lines(string(example)) {
		unindented.WriteString(strings.TrimPrefix(line, "\t"))
	}
	require.Contains(t, unindented.String(), block, "the README's code differs from Example's")
}
