package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// stock is a large store. One workspace, "crowd", has many keys; the others have 100 each.
type stock struct {
	client *redis.Client
	s      store.Store
	keys   int // of all workspaces
	inOne  int // the number of keys in "crowd": those with the lowest numbers
	events int
	few    int // how often a call for a single record is made
}

func (c *stock) key(n int) store.Key {
	workspace := "crowd"
	if n >= c.inOne {
		workspace = fmt.Sprint("team-", n/100)
	}
	return store.Key{
		// The ids are spread like random ids.
		ID:          fmt.Sprintf("%08x-ceea-467f-9a36-%012d", uint32(n)*2654435761, n),
		Workspace:   workspace,
		Name:        fmt.Sprintf("deployment-%09d", n),
		Permissions: scope.MustParse("project.create project.delete project.list project.read project.update"),
		Created:     noon.Add(time.Duration(n) * time.Second), Updated: noon, Version: 1,
		CreatedBy: store.ActorRef{Kind: "owner", ID: fmt.Sprintf("person-%029d", n/100)},
		Credentials: []store.Credential{{
			ID: fmt.Sprintf("%016x", n), Hint: "Ab1x", Generated: true, Created: noon,
			Digest: fmt.Sprintf("hmac-sha256$1$%043d", n),
		}},
	}
}

func (c *stock) event(n int) store.Event {
	return store.Event{
		ID:   fmt.Sprintf("%08x-467f-%012d", uint32(n)*2654435761, n),
		Time: noon.Add(time.Duration(n) * time.Second), Actor: store.ActorRef{Kind: "owner", ID: fmt.Sprintf("person-%029d", n/100)},
		Action: "key.rotate", Workspace: fmt.Sprint("team-", n%1000), Key: fmt.Sprint("key-", n),
	}
}

// fill creates the keys from one number up to another, with 16 goroutines.
func (c *stock) fill(ctx context.Context, from, to int) error {
	return c.each(ctx, 16, from, to, func(n int) error {
		return c.s.Keys.Create(ctx, c.key(n), store.NoLimit, store.Change{Now: noon})
	})
}

func (c *stock) each(ctx context.Context, callers, from, to int, do func(n int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	next.Store(int64(from))
	var working sync.WaitGroup
	for range callers {
		working.Go(func() {
			for n := int(next.Add(1)) - 1; n < to && ctx.Err() == nil; n = int(next.Add(1)) - 1 {
				if err := do(n); err != nil {
					cancel(fmt.Errorf("%d: %w", n, err))
				}
			}
		})
	}
	working.Wait()
	return context.Cause(ctx)
}

// chore is one or several calls of the driver.
type chore struct {
	name string
	run  func(ctx context.Context, t *testing.T, c *stock) error
}

// everyCall contains all calls of a store, for a store that fill has filled. Calls that
// remove many records come last.
var everyCall = []chore{
	{"create", func(ctx context.Context, _ *testing.T, c *stock) error {
		begin := c.keys
		c.keys += c.few
		return c.each(ctx, 1, begin, c.keys, func(n int) error {
			k := c.key(n)
			k.Workspace = "crowd"
			return c.s.Keys.Create(ctx, k, 2*c.keys, store.Change{
				Events: []store.Event{c.event(-n)}, Now: noon, Preconditions: []store.Precondition{{Workspace: k.Workspace}, {}},
				Once: &store.OnceID{Space: "create", ID: k.ID, Value: k.ID, Expires: noon.Add(time.Hour)},
			})
		})
	}},
	{"look up", func(ctx context.Context, _ *testing.T, c *stock) error {
		return c.each(ctx, 1, 0, c.few, func(n int) error {
			k := c.key(n)
			_, err := c.s.Keys.Lookup(ctx, k.ID)
			_, other := c.s.Epochs.Read(ctx, store.TokenRef{Workspace: k.Workspace, Key: k.ID, TokenID: "token"})
			_, third := c.s.Secrets.LookupSecret(ctx, k.Credentials[0].ID)
			return errors.Join(err, other, third)
		})
	}},
	{"update and rename", func(ctx context.Context, _ *testing.T, c *stock) error {
		return c.each(ctx, 1, 0, c.few, func(n int) error {
			k := c.key(n)
			k.Name, k.Credentials = "renamed-"+k.Name, append(k.Credentials, store.Credential{ID: "second-" + k.ID, Created: noon, Digest: "d"})
			err := c.s.Upkeep.Rehash(ctx, k.ID, k.Credentials[0].ID, k.Credentials[0].Digest, "hmac-sha256$2$"+k.ID)
			return errors.Join(err, c.s.Keys.Update(ctx, k, store.Change{Now: noon, RevokeTokens: true}))
		})
	}},
	{"list keys", func(ctx context.Context, _ *testing.T, c *stock) error {
		return c.each(ctx, 1, 0, c.few, func(n int) error {
			k := c.key(n * (c.keys / c.few))
			var problems []error
			for _, q := range []store.KeyQuery{
				{Limit: store.MaxPage, After: &store.KeyCursor{ID: k.ID, Time: k.Created}},
				{Workspace: "crowd", Descending: true},
				{Sort: store.ByName, After: &store.KeyCursor{ID: k.ID, Name: k.Name}},
				{Workspace: "crowd", Sort: store.ByName, Descending: true, Limit: store.MaxPage},
			} {
				_, err := c.s.Keys.List(ctx, q)
				problems = append(problems, err)
			}
			return errors.Join(problems...)
		})
	}},
	{"search keys", func(ctx context.Context, _ *testing.T, c *stock) error {
		_, err := c.s.Keys.List(ctx, store.KeyQuery{Text: "no key is called so"})
		return err
	}},
	{"record uses", func(ctx context.Context, _ *testing.T, c *stock) error {
		uses := make([]store.Use, c.inOne)
		for n := range uses {
			k := c.key(n)
			uses[n] = store.Use{Key: k.ID, Credential: k.Credentials[0].ID, At: noon}
		}
		return c.s.Upkeep.RecordUses(ctx, uses)
	}},
	{"append events", func(ctx context.Context, _ *testing.T, c *stock) error {
		var events []store.Event
		for n := range c.events {
			if events = append(events, c.event(n)); len(events) == min(c.events, 10_000) {
				if err := c.s.Events.Append(ctx, events...); err != nil {
					return err
				}
				events = events[:0]
			}
		}
		return c.s.Events.Append(ctx, events...)
	}},
	{"list workspaces", func(ctx context.Context, t *testing.T, c *stock) error {
		for _, limit := range []int{100, store.MaxPage} {
			page, err := c.s.Workspaces.List(ctx, "", limit)
			if err != nil {
				return err
			}
			require.NotEmpty(t, page.Workspaces)
		}
		return nil
	}},
	{"list events", func(ctx context.Context, _ *testing.T, c *stock) error {
		return c.each(ctx, 1, 0, c.few, func(n int) error {
			e := c.event(n * (c.events / c.few))
			_, err := c.s.Events.List(ctx, store.EventQuery{Limit: store.MaxPage, After: &store.KeyCursor{ID: e.ID, Time: e.Time}})
			_, other := c.s.Events.List(ctx, store.EventQuery{Workspace: e.Workspace})
			return errors.Join(err, other)
		})
	}},
	{"search events", func(ctx context.Context, _ *testing.T, c *stock) error {
		_, err := c.s.Events.List(ctx, store.EventQuery{Action: "nobody does that"})
		return err
	}},
	{"settings, lists, signing keys, one-time ids, limits", func(ctx context.Context, _ *testing.T, c *stock) error {
		return c.each(ctx, 1, 0, c.few, func(n int) error {
			version := int64(n)
			entry := store.ListEntry{List: store.Signers, Name: fmt.Sprint("signer-", n), Fingerprint: "f"}
			id := store.OnceID{Space: "form", ID: entry.Name, Expires: noon.Add(time.Hour)}
			_, _, limited := c.s.Limiter.Advance(ctx, "client", noon, time.Nanosecond, time.Hour)
			return errors.Join(limited,
				c.s.Settings.SetWorkspace(ctx, store.Workspace{ID: "crowd", Version: version}, store.Change{RevokeTokens: true}),
				c.s.Settings.SetInstance(ctx, store.InstanceSettings{Instance: store.Instance{Version: version}}, store.Change{}),
				c.s.HostLists.Record(ctx, entry),
				c.s.HostLists.Forget(ctx, entry.List, entry.Name),
				c.s.SigningKeys.SetRing(ctx, store.Ring{Version: version, Keys: []store.SigningKey{{ID: "k", Sealed: make([]byte, 200)}}}),
				c.s.OnceIDs.Spend(ctx, id, noon),
			)
		})
	}},
	{"count uses", func(ctx context.Context, _ *testing.T, c *stock) error {
		counts := make([]store.Count, c.inOne)
		for n := range counts { // all in one part
			counts[n] = store.Count{Workspace: "crowd", Key: "key", Day: noon.AddDate(0, 0, -n%300), Logins: 1}
		}
		err := c.s.Usage.Add(ctx, counts)
		_, other := c.s.Usage.Prune(ctx, noon)
		return errors.Join(err, other)
	}},
	{"revoke tokens, and restore them", func(ctx context.Context, _ *testing.T, c *stock) error {
		many := min(c.inOne, 10_000) // as many as a process remembers
		if err := c.each(ctx, 1, 0, many, func(n int) error {
			return c.s.Epochs.Revoke(ctx, fmt.Sprint("token-", n), noon.Add(time.Hour), noon)
		}); err != nil {
			return err
		}
		lost := c.client.Scan(ctx, 0, "*:revoked:*", 1000).Iterator()
		for lost.Next(ctx) {
			c.client.Del(ctx, lost.Val())
		}
		watching, stop := context.WithCancel(ctx)
		if err := c.s.Watch.Watch(watching, stop, func(store.Notification) {}); !errors.Is(err, context.Canceled) {
			return err
		}
		return lost.Err()
	}},
	{"delete keys and a workspace of 100", func(ctx context.Context, _ *testing.T, c *stock) error {
		err := c.each(ctx, 1, 0, c.few, func(n int) error {
			k := c.key(n)
			return c.s.Keys.Delete(ctx, k.Workspace, k.ID, 0, noon, store.Change{Now: noon})
		})
		return errors.Join(err, c.s.Settings.DeleteWorkspace(ctx, c.key(c.inOne).Workspace, noon, store.Change{Now: noon}))
	}},
	{"list keys of a workspace that is being deleted", func(ctx context.Context, t *testing.T, c *stock) error {
		// The process that deletes it dies before the keys are removed.
		client, h := newClient(t, c.client.Options().Addr), &hook{}
		require.NoError(t, client.Ping(ctx).Err())
		h.left.Store(3)
		client.AddHook(h)
		other := newDriver(t, client, redisstore.Config{}).Store()
		if err := other.Settings.DeleteWorkspace(ctx, "crowd", noon, store.Change{Now: noon}); err != nil {
			return err
		}
		// Each list reads past all keys of that workspace.
		return c.each(ctx, 1, 0, 10, func(int) error {
			page, err := c.s.Keys.List(ctx, store.KeyQuery{Limit: 1})
			require.NotEmpty(t, page.Keys)
			return err
		})
	}},
	{"sweep and purge", func(ctx context.Context, t *testing.T, c *stock) error {
		purged, err := c.s.Upkeep.Purge(ctx, noon.Add(time.Second))
		require.Equal(t, c.inOne+c.few+100, purged)
		return err
	}},
	{"prune events", func(ctx context.Context, t *testing.T, c *stock) error {
		pruned, err := c.s.Events.Prune(ctx, noon.AddDate(100, 0, 0))
		require.Equal(t, c.events+c.few, pruned)
		return err
	}},
}
