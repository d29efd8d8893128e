package interop_test

import (
	"bytes"
	"encoding/hex"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestLeaving runs the program of the chapter "Leaving" in OPERATING.md. It verifies secrets
// with an exported line and the pepper, and nothing else.
func TestLeaving(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node; examples/interop/run requires it")
	}
	page, err := os.ReadFile("../../../oauth/OPERATING.md")
	require.NoError(t, err)
	_, chapter, found := strings.Cut(string(page), "\n## Leaving\n")
	require.True(t, found)
	_, program, found := strings.Cut(chapter, "\n```js\n")
	require.True(t, found)
	program, _, found = strings.Cut(program, "```\n")
	require.True(t, found)
	file := filepath.Join(t.TempDir(), "verify.mjs")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600)) //nolint:gosec // the page's own program
	first, second := bytes.Repeat([]byte{0xfe, 1}, 16), bytes.Repeat([]byte{0x7f, 2}, 20)
	says := func(t *testing.T, line string, pepper []byte, secret string) string {
		t.Helper()
		verify := exec.CommandContext(limited(t), node, file, hex.EncodeToString(pepper), secret)
		verify.Stdin = strings.NewReader(line)
		out, err := verify.Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}

	for _, tc := range []struct {
		name    string
		peppers []apikey.Pepper
		pepper  []byte
		digest  string
	}{
		{"a pepper", []apikey.Pepper{{Version: 1, Key: first}}, first, `"hmac-sha256$1$`},
		{"the pepper that is first", []apikey.Pepper{{Version: 12, Key: second}, {Version: 1, Key: first}}, second, `"hmac-sha256$12$`},
		{"no pepper", []apikey.Pepper{apikey.NoPepper()}, nil, `"sha256$0$`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Now()
			keys, err := apikey.New(memstore.New(), apikey.Config{
				Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
				Logger:      slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
				Options: apikey.Options{Peppers: tc.peppers},
			})
			require.NoError(t, err)
			admin := apikey.OrganizationAdmin("ada")
			require.NoError(t, keys.SetSuspended(t.Context(), admin, "team-ä", true))
			require.NoError(t, keys.SetSuspended(t.Context(), admin, "team-ä", false))
			key, old, err := keys.Create(t.Context(), admin, apikey.Spec{Workspace: "team-ä", Name: "ci", Permissions: scope.MustParse("project.list")})
			require.NoError(t, err)
			_, fresh, err := keys.Rotate(t.Context(), admin, key.ID, apikey.Rotation{Grace: time.Hour})
			require.NoError(t, err)
			now = now.Add(-3 * time.Hour) // so that for the program the grace of the next rotation is over
			ended, over, err := keys.Create(t.Context(), admin, apikey.Spec{Workspace: "team-ä", Name: "ended"})
			require.NoError(t, err)
			_, _, err = keys.Rotate(t.Context(), admin, ended.ID, apikey.Rotation{Grace: time.Hour})
			require.NoError(t, err)

			var out strings.Builder
			require.NoError(t, backup.Export(t.Context(), keys, admin, &out))
			lines := map[string]string{}
			for line := range strings.Lines(out.String()) {
				for _, id := range []string{key.ID, ended.ID} {
					if strings.HasPrefix(line, `{"format":1,"key":{"id":"`+id+`"`) {
						lines[id] = line
					}
				}
			}
			line := lines[key.ID]
			require.Contains(t, line, tc.digest)
			require.Equal(t, "yes", says(t, line, tc.pepper, old.Reveal()))
			require.Equal(t, "yes", says(t, line, tc.pepper, fresh.Reveal()))
			require.Equal(t, "no", says(t, line, tc.pepper, over.Reveal()), "the secret of another key")
			require.Equal(t, "no", says(t, line, tc.pepper, old.Reveal()+"x"))
			require.Equal(t, "no", says(t, strings.ReplaceAll(line, "team-ä", "team-b"), tc.pepper, old.Reveal()), "the digest is bound to its workspace")
			require.Equal(t, "no", says(t, lines[ended.ID], tc.pepper, over.Reveal()), "after its grace")
			if tc.pepper != nil {
				require.Equal(t, "no", says(t, line, append([]byte("x"), tc.pepper...), old.Reveal()), "another pepper")
			}
			require.Contains(t, out.String(), `"workspace":{"id":"team-ä"`)
		})
	}
	t.Run("a SHA-256 that was imported", func(t *testing.T) {
		keys, err := apikey.New(memstore.New(), apikey.Config{
			Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}}}),
			Logger:      slog.New(slog.DiscardHandler), Options: apikey.Options{Imported: true},
		})
		require.NoError(t, err)
		admin := apikey.OrganizationAdmin("ada")
		_, err = keys.Import(t.Context(), admin, apikey.ImportSpec{
			Spec: apikey.Spec{Workspace: "team-ä", Name: "old"}, ID: "old", Generated: true,
			SHA256: "F9VjETM6HsbqAsPYtxTreyEfS4/V/zm2feNFFGHxUmc=", // of tq_5hVbW9mXz3Kd8RfPy2Nc7
		})
		require.NoError(t, err)
		var out strings.Builder
		require.NoError(t, backup.Export(t.Context(), keys, admin, &out))
		line, _, _ := strings.Cut(out.String(), "\n")
		require.Contains(t, line, `"sha256-import$`)
		require.Equal(t, "yes", says(t, line, nil, "tq_5hVbW9mXz3Kd8RfPy2Nc7"))
		require.Equal(t, "no", says(t, line, nil, "tq_5hVbW9mXz3Kd8RfPy2Nc8"))
	})
}
