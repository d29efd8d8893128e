package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSize limits the size of this program, because the library should do the work. If the
// program grows over the limit, move code to the library.
func TestSize(t *testing.T) {
	const limit = 600
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "permissions.go" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
				lines++
			}
		}
	}
	require.Greater(t, lines, limit/2, "the program was not found")
	require.Less(t, lines, limit, "of code, without blank lines and comments")
	t.Logf("%d lines", lines)
}
