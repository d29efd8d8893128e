package sqlstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// trips is the number of round trips of a call, on PostgreSQL and on MariaDB: alone, with
// a one-time id, with preconditions on the instance, a workspace and a key, and with both.
// The package's documentation has the same numbers.
type trips struct {
	name             string
	postgres, maria  [4]int
	do               func(s store.Store, n int, c store.Change) error
	prepare          func(s store.Store, n int) error
	settings, reader bool // the call takes no precondition on the instance; it takes none at all
}

var tripTable = []trips{
	{
		name: "create", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{11, 12, 13, 14},
		do: func(s store.Store, n int, c store.Change) error {
			return s.Keys.Create(context.Background(), key("team-a", fmt.Sprint("key-", n)), 10_000, c)
		},
	},
	{
		name: "update", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{7, 8, 11, 12},
		prepare: func(s store.Store, n int) error {
			return s.Keys.Create(context.Background(), key("team-a", fmt.Sprint("key-", n)), 10_000, store.Change{})
		},
		do: func(s store.Store, n int, c store.Change) error {
			c.RevokeTokens = true
			return s.Keys.Update(context.Background(), key("team-a", fmt.Sprint("key-", n)), c)
		},
	},
	{
		name: "rotation by another creator", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{10, 11, 14, 15},
		prepare: func(s store.Store, n int) error {
			return s.Keys.Create(context.Background(), key("team-a", fmt.Sprint("key-", n)), 10_000, store.Change{})
		},
		do: func(s store.Store, n int, c store.Change) error {
			k := key("team-a", fmt.Sprint("key-", n))
			k.Credentials[0].ID, k.Credentials[0].CreatedBy = fmt.Sprint("s2-", n), store.ActorRef{Kind: "admin", ID: "person-2"}
			return s.Keys.Update(context.Background(), k, c)
		},
	},
	{
		name: "deletion", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{10, 11, 12, 13},
		prepare: func(s store.Store, n int) error {
			return s.Keys.Create(context.Background(), key("team-a", fmt.Sprint("key-", n)), 10_000, store.Change{})
		},
		do: func(s store.Store, n int, c store.Change) error {
			return s.Keys.Delete(context.Background(), "team-a", fmt.Sprint("key-", n), 0, noon, c)
		},
	},
	{
		name: "settings", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{8, 9, 11, 12}, settings: true,
		do: func(s store.Store, _ int, c store.Change) error {
			in, err := s.Settings.Instance(context.Background())
			if err != nil {
				return err
			}
			return s.Settings.SetInstance(context.Background(), in, c)
		},
	},
	{
		name: "settings of a workspace", postgres: [4]int{4, 4, 4, 4}, maria: [4]int{8, 9, 12, 13},
		do: func(s store.Store, n int, c store.Change) error {
			return s.Settings.SetWorkspace(context.Background(), store.Workspace{ID: fmt.Sprint("team-", n)}, c)
		},
	},
	{
		name: "deletion of a workspace", postgres: [4]int{5, 5, 5, 5}, maria: [4]int{10, 11, 14, 15},
		do: func(s store.Store, n int, c store.Change) error {
			return s.Settings.DeleteWorkspace(context.Background(), fmt.Sprint("team-", n), noon, c)
		},
	},
	{
		name: "revocation", postgres: [4]int{3}, maria: [4]int{5}, reader: true,
		do: func(s store.Store, n int, _ store.Change) error {
			return s.Epochs.Revoke(context.Background(), fmt.Sprint("token-", n), noon, noon)
		},
	},
	{
		name: "look-up", postgres: [4]int{1}, maria: [4]int{1}, reader: true,
		do: func(s store.Store, _ int, _ store.Change) error {
			_, err := s.Keys.Lookup(context.Background(), "actor")
			return err
		},
	},
	{
		name: "look-up of a secret", postgres: [4]int{1}, maria: [4]int{1}, reader: true,
		do: func(s store.Store, _ int, _ store.Change) error {
			_, err := s.Secrets.LookupSecret(context.Background(), "s1-actor")
			return err
		},
	},
	{
		name: "epochs", postgres: [4]int{1}, maria: [4]int{1}, reader: true,
		do: func(s store.Store, _ int, _ store.Change) error {
			_, err := s.Epochs.Read(context.Background(), store.TokenRef{Workspace: "team-a", Key: "actor"})
			return err
		},
	},
}

// Each call takes as many round trips as documented, once its connection has prepared its
// statements.
func TestRoundTrips(t *testing.T) {
	for i, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			driver, source := e.space(t)
			proxy, source := behind(t, driver, source)
			db := dial(t, driver, source)
			db.SetMaxOpenConns(1)
			s := e.tables(t, db, sqlstore.Config{}).Store()
			require.NoError(t, s.Keys.Create(context.Background(), key("team-a", "actor"), store.NoLimit, store.Change{}))
			n := 0
			for _, call := range tripTable {
				for variant, want := range [][4]int{call.postgres, call.maria}[i] {
					if variant > 0 && call.reader {
						break
					}
					fewest := 1000
					for range 4 { // the first calls prepare statements, and one may include a ping or a sweep
						n++
						if call.prepare != nil {
							require.NoError(t, call.prepare(s, n))
						}
						c := changeWith(t, s, n, variant&1 > 0, variant&2 > 0, call.settings)
						before := proxy.Trips()
						require.NoError(t, call.do(s, n, c))
						fewest = min(fewest, proxy.Trips()-before)
					}
					if call.settings {
						fewest-- // its read
					}
					require.Equal(t, want, fewest, "%s, variant %d", call.name, variant)
				}
			}
		})
	}
}

func changeWith(t *testing.T, s store.Store, n int, once, preconditions, settings bool) store.Change {
	t.Helper()
	c := event(fmt.Sprint("event-", n))
	if once {
		c.Once = &store.OnceID{Space: "form", ID: fmt.Sprint(n), Expires: noon.Add(time.Hour)}
	}
	if preconditions {
		in, err := s.Settings.Instance(context.Background())
		require.NoError(t, err)
		c.Preconditions = []store.Precondition{{Workspace: "team-a"}, {Key: "actor", Version: 1}}
		if !settings {
			c.Preconditions = append(c.Preconditions, store.Precondition{Version: in.Version})
		}
	}
	return c
}
