package trust_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

func TestFind(t *testing.T) {
	w := newWorld(t)
	at, identity, err := w.list().Find(t.Context(), w.token(), []store.Trust{trusts("other", "project", "42"), trusts("ci", "project", "43"), w.trust, w.trust})
	require.NoError(t, err)
	require.Equal(t, 2, at, "the first that matches")
	require.Equal(t, issuer, identity.Issuer)
	require.Equal(t, "job", identity.Subject)
	require.Equal(t, w.clock.Now().Add(10*time.Minute).UTC(), identity.Expires)
	require.Equal(t, "42", identity.Claims()["project_id"])
	require.Equal(t, 7.0, identity.Claims()["n"])
	require.Equal(t, map[string]any{"account": map[string]any{"uid": "u-1"}}, identity.Claims()["kubernetes.io"])
	require.Empty(t, identity.OnceID)
}
