package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The keys of a large workspace are removed by several scripts. If the process dies at
// any point after the first, none of the keys is visible, and Purge removes the rest.
func TestADeletedWorkspace(t *testing.T) {
	t.Parallel()
	big := newBig(t)
	var deleted, swept, unknown atomic.Int64
	t.Run("a process dies", func(t *testing.T) {
		// The change, which may have to be sent twice, and twelve further scripts.
		eachDeath(t, 15, func(t *testing.T, dead func(prefix string) (store.Store, *hook)) {
			b := big.copied(t)
			dying, h := dead(b.prefix)
			change := store.Change{Now: noon, Events: []store.Event{{ID: "delete", Time: noon, Workspace: doomed}}}
			err := dying.Settings.DeleteWorkspace(t.Context(), doomed, noon, change)
			made := workspaceOf(t, b.s, doomed).Deleted
			require.Equal(t, made, len(b.inspect()[doomed].events) == 1)
			switch {
			case err == nil:
				require.True(t, made)
			default:
				require.True(t, h.died())
				require.ErrorIs(t, err, store.ErrUnavailable)
				if made {
					unknown.Add(1)
				}
			}
			if !made {
				b.alive()
				return
			}
			deleted.Add(1)
			b.hidden()
			if !b.left() {
				swept.Add(1)
			}
			b.purged()
		})
	})
	t.Logf("deleted %d times, %d unknown to the caller, %d finished", deleted.Load(), unknown.Load(), swept.Load())
	require.Positive(t, unknown.Load())
	require.Positive(t, swept.Load())
	require.Greater(t, deleted.Load(), swept.Load()+10)
}

// The same holds if a process that purges dies.
func TestAPurgeOfADeletedWorkspace(t *testing.T) {
	t.Parallel()
	big := newBig(t)
	first, h := connected(t, big.prefix)
	h.left.Store(4)
	require.NoError(t, first.Settings.DeleteWorkspace(t.Context(), doomed, noon, store.Change{Now: noon}))
	require.True(t, big.left())
	eachDeath(t, 24, func(t *testing.T, dead func(prefix string) (store.Store, *hook)) {
		b := big.copied(t)
		dying, h := dead(b.prefix)
		n, err := dying.Upkeep.Purge(t.Context(), noon.Add(time.Second))
		require.Equal(t, h.died(), err != nil)
		b.inspect()
		rest, err := b.s.Upkeep.Purge(t.Context(), noon.Add(time.Second))
		require.NoError(t, err)
		if h.heard.Load() && h.died() {
			// The lost answer may have been the number of one script.
			require.Contains(t, []int{bigKeys, bigKeys - 50, bigKeys - bigKeys%50}, n+rest)
		} else {
			require.Equal(t, bigKeys, n+rest)
		}
		b.free()
	})
}

// The events of a deleted workspace stay. While its keys are removed, all events are
// listed, whatever their texts.
func TestEventsOfADeletedWorkspace(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	words := []string{"admin", "key", "team-a"}
	for i, word := range words {
		id := fmt.Sprint("id-", i)
		create(t, s, word, id)
		require.NoError(t, s.Events.Append(t.Context(), store.Event{
			ID: id, Time: noon, Actor: store.ActorRef{Kind: word, ID: word}, Action: word, Workspace: word, Key: word, Note: word,
		}))
	}
	require.NoError(t, s.Settings.DeleteWorkspace(t.Context(), "never used", noon, store.Change{}), "the server has the script")
	for _, word := range words {
		dying, h := connected(t, prefix)
		h.left.Store(1)
		require.NoError(t, dying.Settings.DeleteWorkspace(t.Context(), word, noon, store.Change{}))
		require.True(t, h.died())
	}
	page, err := s.Events.List(t.Context(), store.EventQuery{})
	require.NoError(t, err)
	require.Len(t, page.Events, len(words))
	inspect(t, client, prefix)
	n, err := s.Events.Prune(t.Context(), noon.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, len(words), n)
	inspect(t, client, prefix)
}

// big is a store with a workspace of many keys and a small one.
type big struct {
	*testing.T
	client *redis.Client
	prefix string
	s      store.Store
}

const bigKeys = 525

func bigKey(i int) string { return fmt.Sprintf("doomed-%04d", i) }

func newBig(t *testing.T) big {
	t.Helper()
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	b := big{t, client, prefix, newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()}
	var creators sync.WaitGroup
	for creator := range 10 {
		creators.Go(func() {
			for i := creator; i < bigKeys; i += 10 {
				k := newKey(doomed, bigKey(i))
				k.Name = fmt.Sprint("name-", (i*7)%bigKeys)
				k.Created = noon.Add(time.Duration(i) * time.Second)
				if err := b.s.Keys.Create(context.Background(), k, store.NoLimit, store.Change{Now: noon}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	creators.Wait()
	for i := range 3 {
		create(t, b.s, "team-a", fmt.Sprint("key-", i))
	}
	require.NoError(t, b.s.Settings.DeleteWorkspace(t.Context(), "never used", noon, store.Change{}), "the server has the script")
	require.Len(t, b.inspect()[doomed].keys, bigKeys)
	return b
}

// copied returns a copy of the store under another prefix.
func (b big) copied(t *testing.T) big {
	t.Helper()
	prefix := newPrefix(t, b.client)
	to := inspector{t, b.client, prefix}
	for _, name := range (inspector{t, b.client, b.prefix}).names() {
		what, is := strings.CutPrefix(name, "{"+b.prefix+"}:")
		if !is || kindOf(name) == "done" {
			continue
		}
		require.NoError(t, b.client.Copy(t.Context(), b.prefix+":"+name, to.record(what), 0, false).Err())
	}
	return big{t, b.client, prefix, newDriver(t, b.client, redisstore.Config{Prefix: prefix}).Store()}
}

func (b big) inspect() map[string]found {
	b.Helper()
	return inspect(b.T, b.client, b.prefix)
}

// left reports whether keys remain to be removed.
func (b big) left() bool { return len((inspector{b.T, b.client, b.prefix}).hash("deleting")) > 0 }

// sample returns some of the keys, among them the first and last ones of scripts.
func sample() (ids []string) {
	for _, i := range []int{0, 49, 50, 250, 499, 500, bigKeys - 1} {
		ids = append(ids, bigKey(i))
	}
	return ids
}

func (b big) alive() {
	b.Helper()
	for _, id := range sample() {
		require.Equal(b, doomed, keyOf(b.T, b.s, id).Workspace)
	}
	require.Equal(b, bigKeys, workspaceOf(b.T, b.s, doomed).Keys)
}

// hidden checks that no call finds a key of the workspace, and that their ids stay
// taken.
func (b big) hidden() {
	b.Helper()
	ctx, keys := b.Context(), (inspector{b.T, b.client, b.prefix}).hash("keys")
	for _, id := range sample() {
		_, err := b.s.Keys.Lookup(ctx, id)
		require.ErrorIs(b, err, store.ErrNotFound, "look up %s", id)
		require.Empty(b, owner(b.T, b.s, "s1-"+id))
		_, err = b.s.Epochs.Read(ctx, store.TokenRef{Workspace: doomed, Key: id, Credential: "s1-" + id})
		require.ErrorIs(b, err, store.ErrNotFound, "read the epochs of %s", id)
		k := newKey(doomed, id)
		k.Version = 1
		require.ErrorIs(b, b.s.Keys.Update(ctx, k, store.Change{}), store.ErrNotFound, "update %s", id)
		require.ErrorIs(b, b.s.Keys.Delete(ctx, doomed, id, 0, noon, store.Change{}), store.ErrNotFound, "delete %s", id)
		require.ErrorIs(b, b.s.Upkeep.Rehash(ctx, id, "s1-"+id, k.Credentials[0].Digest, "better"), store.ErrNotFound, "rehash %s", id)
		withPrecondition := store.Change{Preconditions: []store.Precondition{{Key: id, Version: 1}}}
		require.ErrorIs(b, b.s.Keys.Create(ctx, newKey("team-a", "other"), store.NoLimit, withPrecondition), store.ErrConflict, "a precondition on %s", id)
		require.NoError(b, b.s.Upkeep.RecordUses(ctx, []store.Use{{Key: id, Credential: "s1-" + id, At: noon}}))
		require.ErrorIs(b, b.s.Keys.Create(ctx, newKey("team-a", id), store.NoLimit, store.Change{}), store.ErrExists, "%s stays taken", id)
	}
	require.Equal(b, keys, (inspector{b.T, b.client, b.prefix}).hash("keys"), "nothing was written")
	require.ErrorIs(b, b.s.Keys.Create(ctx, newKey(doomed, "new"), store.NoLimit, store.Change{}), store.ErrNotFound)
	require.Zero(b, workspaceOf(b.T, b.s, doomed).Keys)
	require.Equal(b, 3, workspaceOf(b.T, b.s, "team-a").Keys)
	for _, q := range []store.KeyQuery{
		{Sort: store.ByCreated}, {Sort: store.ByCreated, Descending: true}, {Sort: store.ByName},
		{Workspace: doomed, Sort: store.ByCreated}, {Workspace: doomed, Sort: store.ByName, Descending: true}, {Workspace: doomed, Sort: store.ByLastUsed},
	} {
		want := 3
		if q.Workspace == doomed {
			want = 0
		}
		require.Equal(b, want, b.list(q), "%+v", q)
	}
}

// list reads all pages, and returns how many keys are on them.
func (b big) list(q store.KeyQuery) (keys int) {
	b.Helper()
	q.Limit = 2
	for more := true; more; more = q.After != nil {
		page, err := b.s.Keys.List(b.Context(), q)
		require.NoError(b, err)
		keys += len(page.Keys)
		q.After = page.Next
	}
	return keys
}

// purged lets another process purge, the first time before the tombstones may be removed.
func (b big) purged() {
	b.Helper()
	n, err := b.s.Upkeep.Purge(b.Context(), noon)
	require.NoError(b, err)
	require.Zero(b, n, "deleted at noon")
	require.False(b, b.left())
	require.Len(b, (inspector{b.T, b.client, b.prefix}).sorted("tombstones"), bigKeys)
	b.inspect()
	b.hidden()
	n, err = b.s.Upkeep.Purge(b.Context(), noon.Add(time.Second))
	require.NoError(b, err)
	require.Equal(b, bigKeys, n)
	b.free()
}

// free checks that no data of the keys is left.
func (b big) free() {
	b.Helper()
	require.Len(b, (inspector{b.T, b.client, b.prefix}).hash("keys"), 3)
	require.Empty(b, b.inspect()[doomed].keys)
	for _, id := range sample() {
		create(b.T, b.s, "team-b", id)
	}
	b.inspect()
}
