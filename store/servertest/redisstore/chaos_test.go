package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// crowd is many writers that use few ids and workspaces, and whose processes die at any
// point.
type crowd struct {
	*testing.T
	prefix string
	dial   func() redis.UniversalClient
	wanted int           // the number of changes
	half   chan struct{} // closed when half of the changes were tried

	mu      sync.Mutex
	acts    []act
	unknown int
}

// act is a change and its result.
type act struct {
	name      string // also the id of its event and its one-time id
	kind      string
	workspace string
	once      bool
	err       error
}

const (
	crowdLimit = 3
	doomed     = "team:{0} %" // is deleted after half of the changes
)

// TestConcurrentWriters checks that records stay consistent, that each change is made
// completely or not at all, and that watchers get a notification of each, whatever the
// order of the changes and wherever their writers die.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	t.Run("one server", func(t *testing.T) {
		t.Parallel()
		client := sharedClient(t)
		options := client.Options()
		runCrowd(t, client, newPrefix(t, client), func() redis.UniversalClient { return redis.NewClient(options) })
	})
	t.Run("a cluster", func(t *testing.T) {
		t.Parallel()
		client, _ := startCluster(t)
		runCrowd(t, client, "crowd", func() redis.UniversalClient { return redis.NewClusterClient(client.Options()) })
	})
}

func runCrowd(t *testing.T, client redis.UniversalClient, prefix string, dial func() redis.UniversalClient) {
	c := &crowd{T: t, prefix: prefix, dial: dial, wanted: 1000, half: make(chan struct{})}
	if soak() {
		c.wanted = 100_000
	}
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	w := listen(t, s)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() { c.write(fmt.Sprint("w", i)) })
	}
	ended := make(chan error, 1)
	go func() {
		<-c.half
		change := store.Change{Now: noon, Events: []store.Event{{ID: "doom", Time: noon, Workspace: doomed}}}
		err := s.Settings.DeleteWorkspace(context.Background(), doomed, noon, change)
		writers.Wait()
		ended <- errors.Join(err, s.Keys.Create(context.Background(), newKey("last", "the last"), store.NoLimit, store.Change{Now: noon}))
	}()
	notifications := w.before(t, "the last")
	require.NoError(t, <-ended)
	workspaces := inspect(t, client, prefix)
	delete(workspaces, "last")
	made := c.check(s, workspaces)
	require.GreaterOrEqual(t, len(notifications), made)
}

func (c *crowd) done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.acts)
}

// write makes changes from its own processes.
func (c *crowd) write(name string) {
	for n := 0; c.done() < c.wanted; {
		client, h := c.dial(), &hook{}
		h.left.Store(int64(rand.IntN(40)))
		h.heard.Store(rand.IntN(2) == 0)
		h.attach(client)
		cfg := redisstore.Config{Prefix: c.prefix, WaitReplicas: -rand.IntN(2), Logger: slog.New(slog.DiscardHandler)}
		driver, err := redisstore.New(client, cfg)
		if err != nil {
			c.Error(err)
			return
		}
		s := driver.Store()
		for ; c.done() < c.wanted && !h.died(); n++ {
			c.change(s, fmt.Sprint(name, "-", n))
		}
		_ = client.Close()
	}
}

func (c *crowd) change(s store.Store, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a := act{name: name, workspace: fmt.Sprintf("team:{%d} %%", rand.IntN(4))}
	id := fmt.Sprint("key-", rand.IntN(12))
	change := store.Change{Now: noon, Events: []store.Event{{ID: name, Time: noon.Add(time.Duration(rand.IntN(1000)) * time.Second), Workspace: a.workspace, Key: id}}}
	if rand.IntN(2) == 0 {
		a.once = true
		change.Once = &store.OnceID{Space: "crowd", ID: name, Value: id, Expires: noon.Add(time.Hour)}
	}
	switch n := rand.IntN(20); {
	case n < 8:
		a.kind = "create"
		a.err = s.Keys.Create(ctx, newKey(a.workspace, id), crowdLimit, change)
	case n < 12:
		a.kind = "delete"
		a.err = s.Keys.Delete(ctx, a.workspace, id, 0, noon, change)
	case n < 15:
		found, err := s.Keys.Lookup(ctx, id)
		if err != nil {
			return
		}
		a.kind, a.workspace = "update", found.Key.Workspace
		change.Events[0].Workspace = a.workspace
		found.Key.Name = name
		a.err = s.Keys.Update(ctx, found.Key, change)
	case n < 16:
		w, err := s.Settings.Workspace(ctx, a.workspace)
		if err != nil {
			return
		}
		a.kind = "settings"
		w.Suspended = !w.Suspended
		a.err = s.Settings.SetWorkspace(ctx, w, change)
	case n < 18:
		_ = s.Upkeep.RecordUses(ctx, []store.Use{{Key: id, Credential: "s1-" + id, At: noon.Add(time.Duration(rand.IntN(1000)) * time.Second)}})
		return
	case n < 19:
		_, _ = s.Upkeep.Purge(ctx, noon.Add(time.Second))
		return
	default:
		_ = s.Upkeep.Rehash(ctx, id, "s1-"+id, "hmac-sha256$1$digest-of-"+id, "hmac-sha256$2$digest-of-"+id)
		return
	}
	for _, other := range []error{store.ErrUnavailable, store.ErrNotFound, store.ErrExists, store.ErrConflict, store.ErrLimit} {
		if a.err == nil || errors.Is(a.err, other) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.acts = append(c.acts, a); len(c.acts) == c.wanted/2 {
				close(c.half)
			}
			if errors.Is(a.err, store.ErrUnavailable) {
				c.unknown++
			}
			return
		}
	}
	c.Errorf("%s: %v", a.kind, a.err)
}

// check compares the results with the records, and returns how many changes were made.
func (c *crowd) check(s store.Store, workspaces map[string]found) (made int) {
	c.Helper()
	keys := make(map[string]int) // created minus deleted, by workspace
	for _, a := range c.acts {
		there := workspaces[a.workspace].events[a.name]
		switch {
		case a.err == nil:
			require.True(c, there, "%s %s was acknowledged and is not in the log", a.kind, a.name)
		case !errors.Is(a.err, store.ErrUnavailable):
			require.False(c, there, "%s %s was refused (%v) and is in the log", a.kind, a.name, a.err)
		}
		_, err := s.OnceIDs.Find(c.Context(), "crowd", a.name, noon)
		if there && a.once {
			require.NoError(c, err, "%s %s was made, and its one-time id is not spent", a.kind, a.name)
		} else {
			require.ErrorIs(c, err, store.ErrNotFound, "%s %s was not made, and its one-time id is spent", a.kind, a.name)
		}
		if !there {
			continue
		}
		made++
		switch a.kind {
		case "create":
			keys[a.workspace]++
		case "delete":
			keys[a.workspace]--
		}
	}
	total := 0
	for workspace, f := range workspaces {
		total += len(f.keys)
		require.LessOrEqual(c, len(f.keys), crowdLimit)
		w, err := s.Settings.Workspace(c.Context(), workspace)
		require.NoError(c, err)
		require.Equal(c, len(f.keys), w.Keys)
		if workspace == doomed {
			require.True(c, w.Deleted)
			require.Empty(c, f.keys)
			continue
		}
		require.Len(c, f.keys, keys[workspace], "created minus deleted in %s", workspace)
		for id := range f.keys {
			found, err := s.Keys.Lookup(c.Context(), id)
			require.NoError(c, err)
			require.Equal(c, workspace, found.Key.Workspace)
		}
	}
	c.Logf("%d changes: %d were made, %d had an unknown outcome; %d keys are left", len(c.acts), made, c.unknown, total)
	require.Positive(c, c.unknown)
	require.Greater(c, made, 50)
	return made
}
