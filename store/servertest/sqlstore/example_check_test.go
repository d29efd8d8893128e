package sqlstore_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The documentation of package sqlstore shows its Example, which cannot run there, since
// the root module has no driver. This package runs a copy of it.
func TestExampleIsTheDocumentedOne(t *testing.T) {
	body := func(file string) string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, rest, found := strings.Cut(string(text), "\nfunc Example() {")
		require.True(t, found, file)
		_, rest, _ = strings.Cut(rest, "\n") // a linter's exception
		block, _, found := strings.Cut(rest, "\n}\n")
		require.True(t, found, file)
		block, _, _ = strings.Cut(block, "\n\t// Output:")
		return block
	}
	documented := body("../../sqlstore/example_test.go")
	require.Greater(t, strings.Count(documented, "\n"), 30)
	require.Equal(t, documented, body("example_test.go"))
}
