package oauth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRows checks ROWS.md: it lists every requirement once, and the id of each
// requirement that is built is in a test of every package in its row.
func TestRows(t *testing.T) {
	text, err := os.ReadFile("ROWS.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || strings.HasPrefix(line, "| row") {
			continue
		}
		shown := cells[2]
		for _, id := range idsOf(strings.TrimPrefix(cells[0], "| ")) {
			require.False(t, listed[id], "%s is listed twice", id)
			listed[id] = true
			if strings.HasPrefix(shown, "not built: ") {
				continue
			}
			t.Run(id, func(t *testing.T) { checkRow(t, id, shown) })
		}
	}
	for _, chapter := range []struct {
		name string
		rows int
	}{
		{"6749-", 27}, {"6750-", 10}, {"7009-", 8}, {"7662-", 8}, {"8414-", 8}, {"9068-", 8}, {"7523-", 8},
		{"9449-", 9}, {"8705-", 6}, {"8707-", 4}, {"9728-", 2}, {"9700-", 7}, {"2.1-", 3}, {"B", 37},
	} {
		for row := range chapter.rows {
			id := fmt.Sprintf("%s%02d", chapter.name, row+1)
			require.True(t, listed[id], "%s is not listed", id)
			delete(listed, id)
		}
	}
	require.Empty(t, listed)
}

// idsOf spells out "7009-01 to 7009-08".
func idsOf(cell string) []string {
	first, last, isRange := strings.Cut(cell, " to ")
	if !isRange {
		return []string{first}
	}
	ids := []string{}
	chapter := first[:len(first)-2]
	for row := 1; ; row++ {
		id := fmt.Sprintf("%s%02d", chapter, row)
		ids = append(ids, id)
		if id == last || row == 99 {
			return ids
		}
	}
}

var (
	packageName = regexp.MustCompile("`([a-z0-9/]+)`([^`]*)")
	testName    = regexp.MustCompile(`\b(Test|Fuzz|Example)[A-Za-z0-9_]+`)
)

func checkRow(t *testing.T, id, shown string) {
	t.Helper()
	packages := packageName.FindAllStringSubmatch(shown, -1)
	require.NotEmpty(t, packages, "no package is named")
	for _, p := range packages {
		source := sourceOf(t, p[1])
		shown := slices.ContainsFunc(strings.Split(source, "\n"), func(line string) bool { return quotes(line, id) })
		require.True(t, shown, "%s is in no test of %s", id, p[1])
		for _, test := range testName.FindAllString(p[2], -1) {
			require.Contains(t, source, "func "+test+"(", "%s has no test %s", p[1], test)
		}
	}
}

// quotes reports whether a line has the id in a name or a message, not in a
// comment.
func quotes(line, id string) bool {
	before, _, found := strings.Cut(line, id)
	return found && !strings.Contains(before, "//") && strings.ContainsAny(before, "\"`") &&
		regexp.MustCompile(regexp.QuoteMeta(id)+`\b`).MatchString(line)
}

// sourceOf returns the tests of a package.
func sourceOf(t *testing.T, name string) string {
	t.Helper()
	pattern := "*_test.go"
	if name == "store/storetest" { // a suite is itself a test
		pattern = "*.go"
	}
	files, err := filepath.Glob(filepath.Join("..", name, pattern))
	require.NoError(t, err)
	var source strings.Builder
	for _, file := range files {
		code, err := os.ReadFile(file) //nolint:gosec // named by the table beside this file
		require.NoError(t, err)
		source.Write(code)
	}
	return source.String()
}
