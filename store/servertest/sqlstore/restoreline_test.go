package sqlstore_test

import (
	"bytes"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestRestoreRefusesALine tests that a key which no store could keep is a refused line, and
// that the keys behind it are restored.
func TestRestoreRefusesALine(t *testing.T) {
	service := func(st store.Store) *apikey.Service {
		s, err := apikey.New(st, apikey.Config{Permissions: scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list", Title: "x"}}}), Options: apikey.Options{
			Peppers: []apikey.Pepper{{Version: 1, Key: []byte("first pepper, thirty-two bytes ok")}},
		}})
		require.NoError(t, err)
		return s
	}
	admin := apikey.OrganizationAdmin("ada")
	from := service(memstore.New())
	for _, name := range []string{"one", "two", "three"} {
		_, _, err := from.Create(t.Context(), admin, apikey.Spec{Workspace: "team-a", Name: name})
		require.NoError(t, err)
	}
	var text bytes.Buffer
	err := backup.Export(t.Context(), from, admin, &text)
	require.NoError(t, err)
	trust := `"credentials":[{"id":"github.x","name":"x","created":"2026-03-01T12:00:00Z","trust":{"issuer":"github","claims":[{"name":"` + strings.Repeat("€", 200) + `","value":"x"}]}},`
	lines := strings.Replace(text.String(), `"credentials":[`, trust, 1)

	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "keys.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(500)")
	require.NoError(t, err)
	defer db.Close()
	database, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Config{})
	require.NoError(t, err)
	require.NoError(t, database.Migrate(t.Context()))
	done, err := backup.Restore(t.Context(), service(database.Store()), admin, strings.NewReader(lines))
	require.NoError(t, err)
	require.Equal(t, 2, done.Keys)
	require.Equal(t, 1, done.Refused)
}
