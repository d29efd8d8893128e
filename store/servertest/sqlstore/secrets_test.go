package sqlstore_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// Concurrent creations and rotations through three Databases give the same two secret ids,
// in either order, to different keys. Exactly one of them succeeds, and no other error
// than store.ErrCredentialExists is seen.
func TestOneKeyForASecret(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		stores, db := replicas(t, e, 3)
		rounds, writers := 5, 24
		if soak() {
			rounds = 300
		}
		for round := range rounds {
			wipe(t, db)
			both := []store.Credential{{ID: "shared-1", Digest: "d", Created: noon}, {ID: "shared-2", Digest: "d", Created: noon}}
			var keys []store.Key
			for i := range writers {
				k := key(fmt.Sprint("team-", i%5), fmt.Sprintf("key-%d-%d", round, i))
				if i%2 == 0 { // its secrets are replaced
					require.NoError(t, stores[0].Keys.Create(ctx, k, store.NoLimit, store.Change{}))
				}
				slices.Reverse(both)
				k.Credentials = slices.Clone(both)
				keys = append(keys, k)
			}
			errs := race(writers, func(i int) error {
				if i%2 == 0 {
					return stores[i%3].Keys.Update(ctx, keys[i], event(keys[i].ID))
				}
				return stores[i%3].Keys.Create(ctx, keys[i], store.NoLimit, event(keys[i].ID))
			})
			won := outcomes(t, errs, store.ErrCredentialExists)
			require.Len(t, won, 1)
			for _, s := range both {
				found, err := stores[1].Secrets.LookupSecret(ctx, s.ID)
				require.NoError(t, err)
				require.Equal(t, keys[won[0]].ID, found.Key.ID)
			}
			require.Equal(t, []string{keys[won[0]].ID}, events(t, stores[2]), "a failed call writes nothing")
			require.Equal(t, writers/2+1+won[0]%2, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials"), "an update replaces one")
			winner := keys[won[0]]
			require.NoError(t, stores[0].Keys.Delete(ctx, winner.Workspace, winner.ID, 0, noon, store.Change{}))
			require.Equal(t, writers/2-1+won[0]%2, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials"))
			_, err := stores[2].Secrets.LookupSecret(ctx, "shared-1")
			require.ErrorIs(t, err, store.ErrNotFound)
		}
	})
}

// Two keys that take each other's secret ids, and give up their own, do not deadlock for
// good. Neither may have the other's.
func TestSwappedSecrets(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		stores, _ := replicas(t, e, 2)
		keys := []store.Key{key("team-a", "key-1"), key("team-b", "key-2")}
		for _, k := range keys {
			require.NoError(t, stores[0].Keys.Create(ctx, k, store.NoLimit, store.Change{}))
		}
		keys[0].Credentials, keys[1].Credentials = keys[1].Credentials, keys[0].Credentials
		for range 3 {
			for _, err := range race(2, func(i int) error { return stores[i].Keys.Update(ctx, keys[i], store.Change{}) }) {
				require.ErrorIs(t, err, store.ErrCredentialExists)
			}
		}
	})
}

// The ids are locked in one order, so that two changes do not wait for each other.
func TestSecretsAreWrittenInOrder(t *testing.T) {
	ctx := context.Background()
	e := engines[0]
	driver, source := e.space(t)
	db, p := tapped(t, driver, source)
	s := e.tables(t, db, sqlstore.Config{}).Store()
	k := key("team-a", "key-1")
	k.Credentials = []store.Credential{{ID: "s3"}, {ID: "s1"}, {ID: "s2"}, {ID: "s1"}}
	written := func(pattern string) (ids []any) {
		s, found := find(p.recorded(), regexp.MustCompile(pattern).MatchString)
		require.True(t, found, pattern)
		for _, arg := range s.args {
			if arg == "s1" || arg == "s2" || arg == "s3" {
				ids = append(ids, arg)
			}
		}
		return ids
	}
	require.NoError(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{}))
	require.Equal(t, []any{"s1", "s2", "s3"}, written("INTO latchkey_credentials"))
	k.Credentials = []store.Credential{{ID: "s4"}}
	require.NoError(t, s.Keys.Update(ctx, k, store.Change{}))
	require.Equal(t, []any{"s1", "s2", "s3"}, written("FROM latchkey_credentials"))
}

// A secret that a rotation adds while its workspace is deleted is deleted, too: another key
// may have its id.
func TestRotationDuringTheDeletionOfItsWorkspace(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		if e.dialect == sqlstore.SQLite {
			t.Skip("SQLite serializes all writers")
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		driver, source := e.space(t)
		db := dial(t, driver, source)
		s := e.tables(t, db, sqlstore.Config{}).Store()
		require.NoError(t, s.Keys.Create(ctx, key("team-a", "key-1"), store.NoLimit, store.Change{}))
		rotation, err := dial(t, driver, source).BeginTx(ctx, nil)
		require.NoError(t, err)
		defer rotation.Rollback()
		for _, statement := range []string{
			"SELECT version FROM latchkey_keys WHERE id = 'key-1' FOR UPDATE",
			"INSERT INTO latchkey_credentials (id, key_id) VALUES ('s2', 'key-1')",
			"DELETE FROM latchkey_credentials WHERE id = 's1-key-1'",
		} {
			_, err := rotation.ExecContext(ctx, statement)
			require.NoError(t, err)
		}
		deleted := make(chan error, 1)
		go func() { deleted <- s.Settings.DeleteWorkspace(ctx, "team-a", noon, event("deleted")) }()
		waiting := map[sqlstore.Dialect]string{
			sqlstore.PostgreSQL: `SELECT COUNT(*) FROM pg_locks w JOIN pg_locks h ON h.pid = ANY(pg_blocking_pids(w.pid))
				WHERE NOT w.granted AND h.relation = to_regclass('latchkey_credentials')`,
			sqlstore.MySQL: "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE 'INSERT INTO latchkey_tombstones%' AND time_ms > 20",
		}[e.dialect]
		require.Eventually(t, func() bool { return count(t, db, waiting) > 0 }, patience, time.Millisecond)
		require.NoError(t, rotation.Commit())
		require.NoError(t, <-deleted)
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM latchkey_credentials"))
		require.Zero(t, count(t, db, "SELECT COUNT(*) FROM latchkey_creators"))
		again := key("team-b", "key-2")
		again.Credentials[0].ID = "s2"
		require.NoError(t, s.Keys.Create(ctx, again, store.NoLimit, store.Change{}))
	})
}
