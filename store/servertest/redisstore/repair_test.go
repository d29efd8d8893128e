package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// The epochs of keys that another driver keeps, after a failover to a replica
// that had not got the last of them.
func TestEpochsThatGoBackwards(t *testing.T) {
	client := sharedClient(t)
	for _, try := range []struct {
		name   string
		repair func(t *testing.T, raiser store.Store)
	}{
		{"B07 put right when read", func(t *testing.T, raiser store.Store) {
			for _, id := range []string{"key-1", "key-2"} {
				_, err := raiser.Epochs.Read(t.Context(), store.TokenRef{Workspace: "team-a", Key: id, TokenID: "token-" + id})
				require.NoError(t, err)
			}
		}},
		{"B07 put right when the watch begins anew", func(t *testing.T, raiser store.Store) { listen(t, raiser) }},
	} {
		t.Run(try.name, func(t *testing.T) {
			prefix := newPrefix(t, client)
			raiser := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			other := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
			ctx := t.Context()
			ends := []store.SecretEnd{{ID: "s1"}, {ID: "s2", NotAfter: noon}}
			mark := func(id string, epoch int64, secrets []store.SecretEnd) store.Mark {
				return store.Mark{Workspace: "team-a", Key: id, Epoch: epoch, Secrets: secrets}
			}
			require.NoError(t, raiser.Epochs.Raise(ctx, mark("key-1", 1, ends), mark("key-3", 1, ends)))
			// What the promoted replica has.
			old := make(map[string]string)
			for _, key := range []string{":{w:team-a}:marks"} {
				state, err := client.Dump(ctx, prefix+key).Result()
				require.NoError(t, err)
				old[key] = state
			}
			require.NoError(t, raiser.Epochs.Raise(ctx, store.Mark{Epoch: 4}, store.Mark{Workspace: "team-a", Epoch: 5},
				mark("key-1", 6, ends[:1]), mark("key-2", 7, ends)))
			for _, id := range []string{"key-1", "key-2"} {
				require.NoError(t, raiser.Epochs.Revoke(ctx, "token-"+id, noon.Add(time.Hour), noon))
			}
			for key, state := range old {
				require.NoError(t, client.RestoreReplace(ctx, prefix+key, 0, state).Err())
			}
			require.NoError(t, client.Del(ctx, prefix+":{i}:settings", prefix+":{w:team-a}:settings",
				prefix+":revoked:token-key-1", prefix+":revoked:token-key-2").Err())
			// Since then another process has changed a mark that was not lost.
			require.NoError(t, other.Epochs.Raise(ctx, mark("key-3", 1, ends[1:])))

			try.repair(t, raiser)
			for _, want := range []struct {
				ref   store.TokenRef
				state store.EpochState
			}{
				{store.TokenRef{Workspace: "team-a", Key: "key-1", Secret: "s1", TokenID: "token-key-1"},
					store.EpochState{Instance: 4, Workspace: 5, Key: 6, SecretKnown: true, Revoked: true}},
				{store.TokenRef{Workspace: "team-a", Key: "key-1", Secret: "s2"}, store.EpochState{Instance: 4, Workspace: 5, Key: 6}},
				{store.TokenRef{Workspace: "team-a", Key: "key-2", Secret: "s2", TokenID: "token-key-2"},
					store.EpochState{Instance: 4, Workspace: 5, Key: 7, SecretKnown: true, SecretNotAfter: noon, Revoked: true}},
				{store.TokenRef{Workspace: "team-a", Key: "key-3", Secret: "s1"}, store.EpochState{Instance: 4, Workspace: 5, Key: 1}},
			} {
				state, err := other.Epochs.Read(ctx, want.ref)
				require.NoError(t, err)
				require.Equal(t, want.state, state)
			}
		})
	}
}

// Who has written many marks and revocations can watch again: what is looked
// at is not told of, so that no stream drowns in it.
func TestManyMarks(t *testing.T) {
	client := sharedClient(t)
	prefix := newPrefix(t, client)
	one := newDriver(t, client, redisstore.Config{Prefix: prefix}).Store()
	other := listen(t, newDriver(t, client, redisstore.Config{Prefix: prefix}).Store())
	ctx := t.Context()
	// More than Redis is asked about at once, and less than a stream holds for one
	// who reads slowly: what is lost is told of all at once.
	marks := make([]store.Mark, 3500)
	for i := range marks {
		marks[i] = store.Mark{Workspace: fmt.Sprint("team-", i%50), Key: fmt.Sprint("key-", i), Epoch: 1}
	}
	require.NoError(t, one.Epochs.Raise(ctx, marks...))
	require.NoError(t, one.Epochs.Revoke(ctx, "token-1", noon.Add(time.Hour), noon))
	last := func(n store.Notice) bool { return n.Token == "token-1" }
	_, gap := other.until(t, last)
	require.False(t, gap)

	w := listen(t, one)
	for range 5 {
		require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind)
		require.Equal(t, store.NoticeHeartbeat, other.next(t).Kind, "nothing was lost, so nothing is told")
	}
	t.Run("B07 all of them lost", func(t *testing.T) {
		for i := range 50 {
			require.NoError(t, client.Del(ctx, fmt.Sprint(prefix, ":{w:team-", i, "}:marks")).Err())
		}
		require.NoError(t, client.Del(ctx, prefix+":revoked:token-1").Err())
		w := listen(t, one)
		require.Equal(t, store.NoticeHeartbeat, w.next(t).Kind)
		_, gap := other.until(t, last)
		require.False(t, gap, "others are told")
		for _, i := range []int{0, 1750, 3499} {
			state, err := one.Epochs.Read(ctx, store.TokenRef{Workspace: marks[i].Workspace, Key: marks[i].Key, TokenID: "token-1"})
			require.NoError(t, err)
			require.Equal(t, store.EpochState{Key: 1, Revoked: true}, state)
		}
	})
}
