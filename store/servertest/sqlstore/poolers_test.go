package sqlstore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// With PgBouncer in transaction mode, each transaction and each single statement may use
// another connection to the server. The package's documentation says which modes of pgx
// work with that.
func TestPgBouncer(t *testing.T) {
	server, err := servers.Postgres(t.Context())
	skipWithout(t, "PostgreSQL", err)
	p, through, err := servers.StartPgBouncer(t.Context(), t.TempDir(), server)
	skipWithout(t, "PgBouncer", err)
	t.Cleanup(p.Stop)
	for _, try := range []struct {
		mode  string
		works bool
	}{{"exec", true}, {"simple_protocol", true}, {"cache_describe", true}, {"cache_statement", false}} {
		t.Run(try.mode, func(t *testing.T) {
			name := "latchkey_" + strings.ToLower(rand.Text()[:10])
			admin(t, "pgx", server, "CREATE DATABASE "+name, "DROP DATABASE "+name+" WITH (FORCE)")
			u, err := url.Parse(through)
			require.NoError(t, err)
			u.Path = "/" + name
			u.RawQuery = url.Values{"sslmode": {"disable"}, "default_query_exec_mode": {try.mode}}.Encode()
			errs := workPooled(t, u.String())
			if try.works {
				for _, err := range errs {
					require.NoError(t, err)
				}
				return
			}
			for _, err := range errs {
				if err != nil {
					require.ErrorContains(t, err, "a connection pooler does not keep prepared statements")
					return
				}
			}
			t.Log("this PgBouncer keeps prepared statements")
		})
	}
}

// workPooled makes changes through two replicas at the same time.
func workPooled(t *testing.T, source string) []error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var stores []store.Store
	for range 2 {
		d, err := sqlstore.New(dial(t, "pgx", source), sqlstore.PostgreSQL, sqlstore.Config{})
		require.NoError(t, err)
		if err := d.Migrate(ctx); err != nil {
			return []error{err}
		}
		stores = append(stores, d.Store())
	}
	return race(100, func(i int) error {
		s, id := stores[i%2], fmt.Sprint("key-", i)
		if err := s.Keys.Create(ctx, key(fmt.Sprint("team-", i%7), id), store.NoLimit, event(id)); err != nil {
			return err
		}
		found, err := stores[(i+1)%2].Keys.Lookup(ctx, id)
		if err != nil {
			return err
		}
		if err := s.Keys.Update(ctx, found.Key, store.Change{RevokeTokens: true}); err != nil {
			return err
		}
		if _, _, err := s.Limiter.Advance(ctx, "login", noon, time.Second, time.Hour); err != nil {
			return err
		}
		if err := s.OnceIDs.Spend(ctx, store.OnceID{ID: id, Expires: noon.Add(time.Hour)}, noon); err != nil {
			return err
		}
		_, err = s.Epochs.Read(ctx, store.TokenRef{Workspace: found.Key.Workspace, Key: id})
		return err
	})
}
