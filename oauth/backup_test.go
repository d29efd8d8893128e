package oauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRestoredBackup tests a server whose store was restored from a backup that is
// older than the tokens.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	_, edKey, _ := testKeys()
	backup, live := memstore.New(), memstore.New()
	on := func(st store.Store) func(*setup) {
		return func(s *setup) {
			s.store, s.config.Issuer, s.config.Signers = st, "https://a.example", []oauth.SigningKey{{Key: edKey}}
		}
	}
	restored := newWorld(t, on(backup))
	found, err := backup.Keys.Lookup(t.Context(), restored.key.ID)
	require.NoError(t, err)
	require.NoError(t, live.Keys.Create(t.Context(), found.Key, store.NoLimit, store.Change{}))
	lived := newWorld(t, on(live))

	login := func(w *world) string { return w.login(restored.key.ID, restored.secret) }
	token := login(lived)
	require.Equal(t, http.StatusOK, lived.call(token))
	require.Equal(t, http.StatusUnauthorized, restored.call(token), "B30 a key's higher epoch")
	require.Equal(t, http.StatusUnauthorized, lived.call(login(restored)), "B30 and a lower one")

	_, err = restored.APIKeys().Disable(t.Context(), admin, restored.key.ID, 0)
	require.NoError(t, err)
	_, err = restored.APIKeys().Enable(t.Context(), admin, restored.key.ID, 0)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, restored.call(token), "B30 a change after the restore takes effect, whatever epochs were used before")
	require.Equal(t, http.StatusOK, restored.call(login(restored)))
}

// rolledBack returns epochs of the instance and of workspaces from before they were
// raised.
type rolledBack struct {
	store.Epochs
	instance, workspace bool
	ref                 store.TokenRef // of the last read
}

func (r *rolledBack) Read(ctx context.Context, ref store.TokenRef) (store.EpochState, error) {
	state, err := r.Epochs.Read(ctx, ref)
	r.ref = ref
	if r.instance {
		state.Instance = 0
	}
	if r.workspace {
		state.Workspace = 0
	}
	return state, err
}

func TestHigherEpochs(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	epochs := &rolledBack{Epochs: st.Epochs}
	st.Epochs = epochs
	w := newWorld(t, func(s *setup) { s.store = st })
	require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-a", true))
	require.NoError(t, w.APIKeys().SetSuspended(t.Context(), admin, "team-a", false))
	require.NoError(t, w.APIKeys().RevokeAllTokens(t.Context(), admin))
	token := w.login(w.key.ID, w.secret)
	require.Equal(t, http.StatusOK, w.call(token))
	var claimed [3]int64
	for i, epoch := range harness.Claims(t, token)["epochs"].([]any) {
		claimed[i] = int64(epoch.(float64))
		require.Positive(t, claimed[i])
	}
	require.Equal(t, claimed, epochs.ref.Epochs, "a cache gets the token's epochs")
	epochs.instance = true
	require.Equal(t, http.StatusUnauthorized, w.call(token), "B30 the instance's")
	epochs.instance, epochs.workspace = false, true
	require.Equal(t, http.StatusUnauthorized, w.call(token), "B30 the workspace's")
	epochs.workspace = false
	require.Equal(t, http.StatusOK, w.call(token))
}
