package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// owner returns the id of the key that has the given secret, or "".
func owner(t *testing.T, s store.Store, secret string) string {
	t.Helper()
	found, err := s.Secrets.LookupSecret(t.Context(), secret)
	if errors.Is(err, store.ErrNotFound) {
		require.Zero(t, found)
		return ""
	}
	require.NoError(t, err)
	return found.Key.ID
}

// withSecret returns a key that has the given secret beside its own.
func withSecret(workspace, id, secret string) store.Key {
	k := newKey(workspace, id)
	k.Credentials = append(k.Credentials, store.Credential{ID: secret, Digest: "d", Created: noon})
	return k
}

// An entry whose key does not have the secret is not found, and blocks no other key.
func TestStaleSecretEntries(t *testing.T) {
	for _, try := range []struct{ name, secret, key string }{
		{"of a key that never existed", "stale", "unknown"},
		{"of a tombstone", "s1-buried", "buried"},
		{"of a key without the secret", "stale", "key-1"},
		{"of a key that begins another line with its id", "0", "key-1"},
		{"of a key in a deleted workspace", "s1-doomed-1", "doomed-1"},
	} {
		t.Run(try.name, func(t *testing.T) {
			ctx, client := t.Context(), sharedClient(t)
			prefix := newPrefix(t, client)
			s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			fillForCalls(t, s)
			create(t, s, doomed, "doomed-1")
			halfDeleted(t, prefix, doomed)
			require.NoError(t, client.HSet(ctx, record(prefix, "credentials"), try.secret, try.key).Err())
			require.Empty(t, owner(t, s, try.secret))

			require.NoError(t, s.Keys.Create(ctx, withSecret("team-b", "new-1", try.secret), store.NoLimit, store.Change{Now: noon}))
			require.Equal(t, "new-1", owner(t, s, try.secret))
			// The same for an update, once the entry is stale again.
			require.NoError(t, s.Keys.Delete(ctx, "team-b", "new-1", 1, noon, store.Change{Now: noon}))
			require.Empty(t, owner(t, s, try.secret))
			require.NoError(t, client.HSet(ctx, record(prefix, "credentials"), try.secret, try.key).Err())
			k := withSecret("team-b", "key-b", try.secret)
			k.Version = 1
			require.NoError(t, s.Keys.Update(ctx, k, store.Change{Now: noon}))
			require.Equal(t, "key-b", owner(t, s, try.secret))
			purge(t, s)
			require.Equal(t, "key-b", owner(t, s, try.secret), "the sweep removes no entry of another key")
			require.ErrorIs(t, s.Keys.Create(ctx, withSecret("team-b", "new-2", try.secret), store.NoLimit, store.Change{Now: noon}), store.ErrCredentialExists)
			inspect(t, client, prefix)
		})
	}
}

// halfDeleted deletes a workspace with a process that dies before it removes the keys.
func halfDeleted(t *testing.T, prefix, workspace string) {
	t.Helper()
	dying, h := connected(t, prefix)
	require.NoError(t, dying.Settings.DeleteWorkspace(t.Context(), "never used", noon, store.Change{}), "the server has the script")
	h.left.Store(1)
	require.NoError(t, dying.Settings.DeleteWorkspace(t.Context(), workspace, noon, store.Change{Now: noon}))
	require.True(t, h.died())
}

func purge(t *testing.T, s store.Store) {
	t.Helper()
	_, err := s.Upkeep.Purge(t.Context(), noon.Add(time.Second))
	require.NoError(t, err)
}

// An entry of a key of a deleted workspace stays until the sweep, and a refused change
// leaves every entry as it was.
func TestSecretEntriesFollowTheirKeys(t *testing.T) {
	ctx, client := t.Context(), sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	entries := func() map[string]string { return (inspector{t, client, prefix}).hash("credentials") }
	require.NoError(t, s.Keys.Create(ctx, withSecret("team-a", "key-1", "a b%7b{}\n"), store.NoLimit, store.Change{Now: noon}))
	require.Equal(t, "key-1", owner(t, s, "a b%7b{}\n"))
	require.Equal(t, map[string]string{"s1-key-1": "key-1", "a%20b%257b%7B%7D%0A": "key-1"}, entries())
	create(t, s, doomed, "doomed-1")
	create(t, s, doomed, "doomed-2")
	before := contents(t, client, prefix)
	k := withSecret(doomed, "doomed-1", "a b%7b{}\n")
	k.Version = 1
	require.ErrorIs(t, s.Keys.Update(ctx, k, store.Change{Now: noon}), store.ErrCredentialExists)
	k.ID = "new-1"
	require.ErrorIs(t, s.Keys.Create(ctx, k, store.NoLimit, store.Change{Now: noon}), store.ErrCredentialExists)
	require.Empty(t, written(before, contents(t, client, prefix)), "a refused change writes nothing")

	k = newKey("team-a", "key-1")
	k.Version, k.Credentials[0].ID = 1, "second"
	require.NoError(t, s.Keys.Update(ctx, k, store.Change{Now: noon}))
	require.Empty(t, owner(t, s, "s1-key-1"))
	halfDeleted(t, prefix, doomed)
	require.Equal(t, map[string]string{"second": "key-1", "s1-doomed-1": "doomed-1", "s1-doomed-2": "doomed-2"}, entries())
	require.NoError(t, s.Keys.Create(ctx, withSecret("team-a", "key-2", "s1-doomed-2"), store.NoLimit, store.Change{Now: noon}))
	purge(t, s)
	require.Equal(t, map[string]string{"second": "key-1", "s1-key-2": "key-2", "s1-doomed-2": "key-2"}, entries())
	inspect(t, client, prefix)
}

// Of all processes that give the secrets of a workspace to new keys, while others delete
// the workspace and remove its keys, one succeeds for each secret, once the workspace is
// deleted. The sweep leaves the new entries.
func TestSecretsAreTakenDuringASweep(t *testing.T) {
	const many, callers = 400, 4
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	stores := make([]store.Store, callers)
	for i := range stores {
		stores[i] = newDriver(t, sharedClient(t), redisstore.Config{Prefix: prefix}).Store()
	}
	for i := range many {
		create(t, stores[0], doomed, bigKey(i))
	}
	halfDeleted(t, prefix, doomed)
	begin := make(chan struct{})
	var working sync.WaitGroup
	var took, refused atomic.Int64
	for caller, s := range stores {
		working.Go(func() {
			<-begin
			for n := range many {
				i := (n + caller*many/callers) % many
				k := newKey("team-a", fmt.Sprint("heir-", caller, "-", i))
				k.Credentials[0].ID = "s1-" + bigKey(i)
				err := s.Keys.Create(context.Background(), k, store.NoLimit, store.Change{Now: noon})
				switch {
				case err == nil:
					took.Add(1)
				case errors.Is(err, store.ErrCredentialExists):
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
		working.Go(func() {
			<-begin
			if _, err := s.Upkeep.Purge(context.Background(), noon.Add(time.Second)); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	working.Wait()
	require.EqualValues(t, many, took.Load())
	require.EqualValues(t, (callers-1)*many, refused.Load())
	for i := range many {
		require.True(t, strings.HasSuffix(owner(t, stores[0], "s1-"+bigKey(i)), fmt.Sprint("-", i)), i)
	}
	inspect(t, client, prefix)
}

// Keys exchange one secret while it is looked up: a look-up finds a key that has it, or
// none, and no two keys have it at once.
func TestASecretThatMoves(t *testing.T) {
	const callers, rounds = 4, 100
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	var working sync.WaitGroup
	var moved, refused atomic.Int64
	for caller := range callers {
		s := newDriver(t, sharedClient(t), redisstore.Config{Prefix: prefix}).Store()
		id := fmt.Sprint("key-", caller)
		create(t, s, "team-a", id)
		working.Go(func() {
			version := int64(1)
			for range rounds {
				for _, k := range []store.Key{withSecret("team-a", id, "moving"), newKey("team-a", id)} {
					k.Version = version
					err := s.Keys.Update(context.Background(), k, store.Change{Now: noon})
					if errors.Is(err, store.ErrCredentialExists) {
						refused.Add(1)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					version++
					if len(k.Credentials) == 1 {
						continue
					}
					moved.Add(1)
					if found, err := s.Secrets.LookupSecret(context.Background(), "moving"); err != nil || found.Key.ID != id {
						t.Errorf("%s has the secret, and a look-up found %q: %v", id, found.Key.ID, err)
					}
				}
			}
		})
	}
	working.Wait()
	require.EqualValues(t, callers*rounds, moved.Load()+refused.Load())
	require.Positive(t, moved.Load())
	inspect(t, client, prefix)
	t.Logf("moved %d times, refused %d times", moved.Load(), refused.Load())
}

// A script removes 50 keys, however many secrets each has.
func TestASweepOfManySecrets(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	s := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	for i := range 51 {
		k := newKey(doomed, bigKey(i))
		for n := range 200 {
			k.Credentials = append(k.Credentials, store.Credential{ID: fmt.Sprint(k.ID, "-", n), Digest: "d", Created: noon})
		}
		require.NoError(t, s.Keys.Create(t.Context(), k, store.NoLimit, store.Change{Now: noon}))
	}
	require.Equal(t, bigKey(50), owner(t, s, bigKey(50)+"-199"))
	require.NoError(t, s.Settings.DeleteWorkspace(t.Context(), doomed, noon, store.Change{Now: noon}))
	require.Empty(t, (inspector{t, client, prefix}).hash("credentials"))
	inspect(t, client, prefix)
}
