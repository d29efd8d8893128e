package oauth_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
)

// TestBusyTimeouts checks each busy timeout for SQLite in the documents and the
// code. A call that waits for the lock of the file ends after the busy timeout and
// not at its deadline, so the timeout must be shorter than the default deadline of
// a login.
func TestBusyTimeouts(t *testing.T) {
	where := make(map[string]bool)
	set := regexp.MustCompile(`busy_timeout\((\d+)\)`)
	project := os.DirFS("..")
	require.NoError(t, fs.WalkDir(project, ".", func(file string, _ fs.DirEntry, err error) error {
		if ext := path.Ext(file); err != nil || ext != ".md" && ext != ".go" {
			return err
		}
		text, err := fs.ReadFile(project, file)
		for _, found := range set.FindAllStringSubmatch(string(text), -1) {
			milliseconds, _ := strconv.Atoi(found[1])
			require.Less(t, time.Duration(milliseconds)*time.Millisecond, oauth.DefaultLoginTimeout(), file)
			where[file] = true
		}
		return err
	}))
	for _, file := range []string{"README.md", "store/README.md", "store/sqlstore/sqlstore.go", "examples/meshstack/storage.go"} {
		require.Contains(t, where, file)
	}
}
