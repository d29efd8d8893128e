package oauth_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func handbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("OPERATING.md")
	require.NoError(t, err)
	return string(text)
}

// TestOperatingCode tests that each block of Go in the handbook is a part of a file
// that is compiled and tested.
func TestOperatingCode(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, file := range []string{"operating_example_test.go", "../store/servertest/operating/main.go"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(text)
		for line := range strings.Lines(string(text)) {
			code.WriteString(strings.TrimPrefix(line, "\t"))
		}
	}
	blocks := regexp.MustCompile("(?ms)^( *)```go\n(.+?)^ *```$").FindAllStringSubmatch(handbook(t), -1)
	require.Greater(t, len(blocks), 5)
	for _, block := range blocks {
		text := regexp.MustCompile("(?m)^"+block[1]).ReplaceAllString(block[2], "") // in a list it is indented
		require.True(t, strings.Contains(code.String(), text), "in no file that is tested: %s", text)
	}
}

// TestOperatingLinks tests the links within the handbook.
func TestOperatingLinks(t *testing.T) {
	t.Parallel()
	anchors := make(map[string]bool)
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.+)$`).FindAllStringSubmatch(handbook(t), -1) {
		slug := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors["#"+strings.ReplaceAll(slug, " ", "-")] = true
	}
	links := regexp.MustCompile(`\]\((#[^)]+)\)`).FindAllStringSubmatch(handbook(t), -1)
	require.Greater(t, len(links), 10)
	for _, link := range links {
		require.True(t, anchors[link[1]], link[1])
	}
}

// TestOperatingLogLines tests that the handbook's table has every warning and every
// error that the library logs, with its text and its level, and nothing else.
func TestOperatingLogLines(t *testing.T) {
	t.Parallel()
	logged, parts := loggedLines(t)
	listed := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `(.+?)` \\| (WARN|ERROR) \\|").FindAllStringSubmatch(handbook(t), -1) {
		require.NotContains(t, listed, row[1], "listed twice")
		listed[row[1]] = row[2]
	}
	require.Equal(t, slices.Sorted(maps.Keys(logged)), slices.Sorted(maps.Keys(listed)))
	require.Equal(t, logged, listed)
	require.Greater(t, len(listed), 20)

	// The parts of messages that the text below the table names.
	_, rest, found := strings.Cut(handbook(t), "In place of `...`")
	require.True(t, found)
	rest, _, _ = strings.Cut(rest, ";")
	named := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(rest, -1)
	require.Greater(t, len(named), 3)
	for _, part := range named {
		require.True(t, parts[part[1]], part[1])
	}
}

// loggedLines returns the level of each message that the library logs as a warning
// or an error, and all string literals of the library. In a message "..." stands for
// what is not a literal.
func loggedLines(t *testing.T) (levels map[string]string, literals map[string]bool) {
	t.Helper()
	levels, literals = make(map[string]string), make(map[string]bool)
	at := map[string]int{"Warn": 0, "Error": 0, "WarnContext": 1, "ErrorContext": 1, "Misplaced": 3}
	for _, root := range []string{"../scope", "../store", "../policy", "."} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && entry.Name() == "servertest" {
				return cmpErr(err, fs.SkipDir)
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
					value, err := strconv.Unquote(text.Value)
					require.NoError(t, err)
					literals[value] = true
				}
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				function, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				require.NotEqual(t, "LogAttrs", function.Sel.Name, "%s: this test does not know it", path)
				i, ok := at[function.Sel.Name]
				if !ok || len(call.Args) <= i {
					return true // such as err.Error()
				}
				if message := messageOf(call.Args[i]); strings.Trim(message, ".") != "" {
					levels[message] = cmp.Or(map[string]string{"Misplaced": "WARN"}[function.Sel.Name], strings.ToUpper(strings.TrimSuffix(function.Sel.Name, "Context")))
				}
				return true
			})
			return nil
		}))
	}
	return levels, literals
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// messageOf returns the text of an expression.
func messageOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return messageOf(e.X) + messageOf(e.Y)
	}
	return "..."
}
