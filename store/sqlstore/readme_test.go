package sqlstore_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The code about this package in the README is a part of Example.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)

	_, rest, found := strings.Cut(string(readme), "## Keys that survive a restart\n\n```go\n")
	require.True(t, found, "the README has a code block of this package")
	block, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	require.Greater(t, strings.Count(block, "\n"), 15)

	var unindented strings.Builder
	for line := range strings.Lines(string(example)) {
		unindented.WriteString(strings.TrimPrefix(line, "\t"))
	}
	require.Contains(t, unindented.String(), block)
}
