package apikey_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// askedSecrets counts the look-ups by secret, and fails them with err.
type askedSecrets struct {
	store.Secrets
	asked int
	err   error
}

func (a *askedSecrets) LookupSecret(ctx context.Context, id string) (store.Found, error) {
	if a.asked++; a.err != nil {
		return store.Found{}, a.err
	}
	return a.Secrets.LookupSecret(ctx, id)
}

func TestFindSecret(t *testing.T) {
	st := memstore.New()
	old, lost := rigOn(t, st, lists{peppers(pepper1), []string{"old_"}, nil}.in).create(admin, "team-a", "")
	r := rigOn(t, st, lists{peppers(pepper1), []string{"lk_"}, []string{"secret prefix old_"}}.in)
	r.keep(lost.Reveal())
	key, first := r.create(owner, "team-a", "keys.list")
	_, second := r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	other, secret := r.create(admin, "team-b", "keys.save")
	unknown := apikey.MustSecret(randomFrom("nobody's"), "").Reveal()
	as := func(k apikey.Key) apikey.Actor { return apikey.ByKey(k.ID, catalog.All(), "") }

	for _, tc := range []struct {
		name  string
		actor apikey.Actor
		text  string
		key   string // empty: store.ErrNotFound
	}{
		{"an owner's", owner, second.Reveal(), key.ID},
		{"between white space", owner, "\t" + second.Reveal() + " \r\n", key.ID},
		{"an older one of the key", admin, first.Reveal(), key.ID},
		{"any, by an administrator", admin, secret.Reveal(), other.ID},
		{"with a withdrawn prefix", owner, lost.Reveal(), old.ID},
		{"a key's own", as(key), second.Reveal(), key.ID},
		{"by a key that lists keys", as(key), lost.Reveal(), old.ID},
		{"by a key about itself, which may not list", as(other), secret.Reveal(), other.ID},
		{"B20 another workspace's", owner, secret.Reveal(), ""},
		{"B20 another workspace's, by a key", as(key), secret.Reveal(), ""},
		{"nobody's", owner, unknown, ""},
		{"nobody's, by an administrator", admin, unknown, ""},
		{"B21 by an owner of nothing", harness.Guest, second.Reveal(), ""},
		{"B21 by nobody", apikey.Actor{}, second.Reveal(), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, of, err := r.FindSecret(t.Context(), tc.actor, tc.text)
			if tc.key == "" {
				require.ErrorIs(t, r.note(err), store.ErrNotFound)
				_, _, unknownErr := r.FindSecret(t.Context(), tc.actor, unknown)
				require.Equal(t, unknownErr, err, "the same as for a secret that no key has")
				require.Zero(t, found)
				require.Zero(t, of)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.key, found.ID)
			require.Equal(t, secrets.ID(strings.TrimSpace(tc.text)), of.ID)
			require.Contains(t, found.Credentials, of)
			shown, err := r.Get(t.Context(), admin, tc.key)
			require.NoError(t, err)
			require.Equal(t, shown, found)
		})
	}
	t.Run("a key with rights in the workspace, but not to list", func(t *testing.T) {
		saver, _ := r.create(admin, "team-a", "keys.save")
		_, _, err := r.FindSecret(t.Context(), as(saver), second.Reveal())
		require.ErrorIs(t, err, store.ErrNotFound)
		require.False(t, isForbidden(err), "that would tell that a key has the secret")
	})
}

// TestFindSecretOfADeadKey tests that a secret that cannot log in is found, and what is
// said of it.
func TestFindSecretOfADeadKey(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "")
	r.mustLogin(key.ID, secret)
	used := r.clock.Now()
	_, of, err := r.FindSecret(t.Context(), owner, secret.Reveal())
	require.NoError(t, err)
	require.Zero(t, of.LastUsed, "the login is still in memory")
	require.NoError(t, r.Flush(t.Context()))
	r.rotate(owner, key.ID, apikey.Rotation{Grace: time.Hour})
	r.clock.Advance(2 * time.Hour)
	_, err = r.Disable(t.Context(), owner, key.ID, 0)
	require.NoError(t, err)
	found, of, err := r.FindSecret(t.Context(), owner, secret.Reveal())
	require.NoError(t, err)
	require.Equal(t, "disabled", string(found.Standing.State))
	require.Equal(t, used, of.LastUsed)
	require.True(t, of.NotAfter.Before(r.clock.Now()))
	events := len(r.events(store.EventQuery{}))
	require.NoError(t, r.Delete(t.Context(), owner, key.ID, 0))
	_, _, err = r.FindSecret(t.Context(), owner, secret.Reveal())
	require.ErrorIs(t, err, store.ErrNotFound, "a deleted key has no secrets")
	require.Len(t, r.events(store.EventQuery{}), events+1, "looking is no event")
}

func TestFindSecretRefuses(t *testing.T) {
	st := memstore.New()
	asked := &askedSecrets{Secrets: st.Secrets}
	st.Secrets = asked
	r := rigOn(t, st)
	key, secret := r.create(owner, "team-a", "")
	imported := rigOn(t, st, imports)

	plain := secret.Reveal()
	for _, tc := range []struct {
		name, text string
		on         *rig
	}{
		{"empty", "", r},
		{"white space", " \n", r},
		{"cut off", plain[:len(plain)-1], r},
		{"longer", plain + "x", r},
		{"another prefix", "x" + plain, r},
		{"a typo", plain[:9] + "_" + plain[10:], r},
		{"two", plain + " " + plain, r},
		{"no secret", "project.list", r},
		{"empty, with imports", "\t", imported},
		{"too long, with imports", strings.Repeat("x", 1025), imported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := tc.on.FindSecret(t.Context(), apikey.ByKey("no-such-key", catalog.All(), ""), tc.text)
			var bad *apikey.InvalidError
			require.ErrorAs(t, r.note(err), &bad)
			require.Equal(t, "secret", bad.Problems[0].Field)
		})
	}
	require.Zero(t, asked.asked, "none is looked up")
	_, _, err := imported.FindSecret(t.Context(), owner, "no secret of ours")
	require.ErrorIs(t, err, store.ErrNotFound, "with imports it can be a secret")

	t.Run("an acting key that is disabled", func(t *testing.T) {
		dead, _ := r.create(owner, "team-a", "keys.list")
		_, err := r.Disable(t.Context(), owner, dead.ID, 0)
		require.NoError(t, err)
		_, _, err = r.FindSecret(t.Context(), apikey.ByKey(dead.ID, catalog.All(), ""), plain)
		require.True(t, isForbidden(err))
	})
	t.Run("B01 a digest of another secret under the id", func(t *testing.T) {
		found, err := r.store.Keys.Lookup(t.Context(), key.ID)
		require.NoError(t, err)
		digest := found.Key.Credentials[0].Digest
		for name, put := range map[string]string{"another": digest[:len(digest)-43] + strings.Repeat("A", 43), "a slow one": bcryptOf(t, plain)} {
			require.NoError(t, r.store.Upkeep.Rehash(t.Context(), key.ID, key.Credentials[0].ID, digest, put))
			_, _, err = r.FindSecret(t.Context(), owner, plain)
			require.ErrorIs(t, r.note(err), store.ErrNotFound, name)
			digest = put
		}
	})
	t.Run("a digest that cannot be verified", func(t *testing.T) {
		fresh, secret := r.create(owner, "team-a", "")
		strange := st
		strange.HostLists = memstore.New().HostLists
		other := rigOn(t, strange, lists{peppers(pepper3), nil, nil}.in)
		_, _, err := other.FindSecret(t.Context(), owner, secret.Reveal())
		require.ErrorIs(t, r.note(err), store.ErrUnavailable)
		require.ErrorContains(t, err, fresh.ID)
		_, _, err = other.FindSecret(t.Context(), harness.Bert, secret.Reveal())
		require.ErrorIs(t, err, store.ErrNotFound, "B20 who may not see the key does not learn of it")
		require.NotErrorIs(t, err, store.ErrUnavailable)
	})
	t.Run("an outage", func(t *testing.T) {
		asked.err = errors.Join(store.ErrUnavailable, errors.New("no route to host"))
		defer func() { asked.err = nil }()
		_, _, err := r.FindSecret(t.Context(), owner, plain)
		require.ErrorIs(t, r.note(err), store.ErrUnavailable)
	})
}
