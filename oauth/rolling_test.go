package oauth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// hostLists are the lists that a host configures. listed puts the entries of the
// versions into a configuration, and title is the name of an entry in errors.
var hostLists = []struct {
	name   string
	listed func(*oauth.Config, []int)
	title  string
	// unused makes sure that nothing uses version 1 any more.
	unused func(*rolling)
	// atOnce: nothing uses it as soon as version 2 is the first on all replicas.
	atOnce bool
}{
	{name: "pepper", title: "pepper %d", unused: (*rolling).loginAll, listed: func(c *oauth.Config, versions []int) {
		for _, v := range versions {
			c.APIKeys.Peppers = append(c.APIKeys.Peppers, apikey.Pepper{Version: v, Key: bytes.Repeat([]byte{byte(v)}, 32)})
		}
	}},
	{name: "secret prefix", title: "secret prefix v%d_", unused: (*rolling).rotateAll, listed: func(c *oauth.Config, versions []int) {
		for _, v := range versions {
			c.APIKeys.SecretPrefixes = append(c.APIKeys.SecretPrefixes, fmt.Sprintf("v%d_", v))
		}
	}},
	{name: "seal key", title: "seal key %d", unused: func(*rolling) {}, atOnce: true, listed: func(c *oauth.Config, versions []int) {
		c.SealKeys = nil
		for _, v := range versions {
			c.SealKeys = append(c.SealKeys, sealKey(v))
		}
	}},
	{name: "signer", title: "signer v%d", unused: (*rolling).outliveTokens, listed: func(c *oauth.Config, versions []int) {
		c.SealKeys = nil
		for _, v := range versions {
			private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(v)}, 32))
			c.Signers = append(c.Signers, oauth.SigningKey{ID: fmt.Sprintf("v%d", v), Key: private})
		}
	}},
}

// rolling is a service of four replicas, which are replaced one at a time.
type rolling struct {
	*fleet
	listed   func(*oauth.Config, []int)
	replicas [4]*oauth.Server
	keys     []rollingKey
	idle     []rollingKey // not used for a login yet
	tokens   []string
	made     int
	rehashed rehashes
}

// rehashes counts by key how often its digest was rewritten.
type rehashes struct {
	store.Upkeep
	times map[string]int
}

func (r rehashes) Rehash(ctx context.Context, keyID, secretID, from, to string) error {
	r.times[keyID]++
	return r.Upkeep.Rehash(ctx, keyID, secretID, from, to)
}

type rollingKey struct{ id, secret string }

func newRolling(t *testing.T, listed func(*oauth.Config, []int)) *rolling {
	t.Helper()
	r := &rolling{fleet: newFleet(t), listed: listed}
	r.rehashed = rehashes{r.store.Upkeep, map[string]int{}}
	r.store.Upkeep = r.rehashed
	r.config.APIKeys = apikey.Options{TokenLifetime: 24 * time.Hour, RefuseAfter: -1}
	return r
}

// start starts a replica with the versions in that order.
func (r *rolling) start(versions ...int) (*oauth.Server, error) {
	return r.try(func(c *oauth.Config) { r.listed(c, versions) })
}

// deploy replaces the replicas one at a time.
func (r *rolling) deploy(versions ...int) {
	r.t.Helper()
	for i := range r.replicas {
		srv, err := r.start(versions...)
		require.NoError(r.t, err, "%v", versions)
		r.replicas[i] = srv
		r.clock.Advance(time.Minute)
		r.traffic()
	}
}

// traffic makes a key on each replica, and then uses all keys and tokens on all:
// none is refused.
func (r *rolling) traffic() {
	r.t.Helper()
	for _, srv := range r.replicas {
		if srv == nil {
			continue
		}
		require.NoError(r.t, srv.Step())
		r.keys = append(r.keys, r.create(srv))
		r.keys = r.keys[max(0, len(r.keys)-4):]
		for _, k := range r.keys {
			r.tokens = append(r.tokens, r.login(srv, k))
		}
		r.tokens = r.tokens[max(0, len(r.tokens)-12):]
	}
	for _, srv := range r.replicas {
		for _, token := range r.tokens {
			if srv != nil {
				_, err := srv.Verifier().Verify(r.t.Context(), token)
				require.NoError(r.t, err, "B31 no token is refused")
			}
		}
	}
}

func (r *rolling) create(srv *oauth.Server) rollingKey {
	r.t.Helper()
	r.made++
	key, secret, err := srv.APIKeys().Create(r.t.Context(), admin, apikey.Spec{
		Workspace: "team-a", Name: fmt.Sprint("key ", r.made), Permissions: scope.MustParse("project.list"),
	})
	require.NoError(r.t, err)
	return rollingKey{key.ID, secret.Reveal()}
}

func (r *rolling) login(srv *oauth.Server, k rollingKey) string {
	r.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {k.id}, "client_secret": {k.secret}}
	a := serve(srv.Token(), http.MethodPost, "/api/login", form.Encode())
	require.Equal(r.t, http.StatusOK, a.StatusCode, "B31 no login is refused: %s", a.Body)
	return a.Token()
}

// all returns every key there is.
func (r *rolling) all() []store.Key {
	r.t.Helper()
	page, err := r.store.Keys.List(r.t.Context(), store.KeyQuery{Limit: store.MaxPage})
	require.NoError(r.t, err)
	require.Nil(r.t, page.Next)
	return page.Keys
}

// loginAll logs in with the keys that were not used yet, and ends all secrets but
// those in use.
func (r *rolling) loginAll() {
	for _, k := range r.idle {
		r.login(r.replicas[0], k)
	}
	r.deleteOthers(append(r.idle, r.keys...))
}

func (r *rolling) deleteOthers(kept []rollingKey) {
	for _, key := range r.all() {
		if !slices.ContainsFunc(kept, func(k rollingKey) bool { return k.id == key.ID }) {
			require.NoError(r.t, r.replicas[0].APIKeys().Delete(r.t.Context(), admin, key.ID, 0))
		}
	}
}

// rotateAll gives new secrets.
func (r *rolling) rotateAll() {
	r.keys, r.idle = nil, nil
	for _, key := range r.all() {
		_, _, err := r.replicas[0].APIKeys().Rotate(r.t.Context(), admin, key.ID, apikey.Rotation{})
		require.NoError(r.t, err)
	}
	r.tokens = nil
}

// outliveTokens waits until every token has expired.
func (r *rolling) outliveTokens() {
	r.clock.Advance(27 * time.Hour)
	r.tokens = nil
}

// TestRollingDeploys adds, promotes and removes one entry of each list, forward and
// back, on four replicas.
func TestRollingDeploys(t *testing.T) {
	t.Parallel()
	for _, list := range hostLists {
		t.Run("B31 "+list.name, func(t *testing.T) {
			t.Parallel()
			r := newRolling(t, list.listed)
			one, two := fmt.Sprintf(list.title, 1), fmt.Sprintf(list.title, 2)
			lacks := func(title string, versions ...int) {
				t.Helper()
				srv, err := r.start(versions...)
				require.ErrorContains(t, err, "lacks "+title+", which ", "B31 it does not start and says which")
				require.Nil(t, srv)
			}

			r.deploy(1)
			r.idle = append(r.idle, r.create(r.replicas[0]))
			lacks(one, 2)
			lacks(one, 2, 3)
			r.deploy(1, 2) // added,
			r.deploy(1)    // back,
			r.deploy(1, 2)
			require.Empty(t, r.rehashed.times, "nothing is rewritten for what is only listed")
			r.deploy(2, 1) // promoted,
			lacks(two, 1)
			if !list.atOnce {
				lacks(one, 2)
			}
			r.deploy(1, 2) // back,
			lacks(two, 1)
			sealed := r.ring()
			r.traffic()
			require.Equal(t, sealed, r.ring(), "nor is a signing key sealed back")
			r.deploy(2, 1)

			list.unused(r)
			for _, srv := range r.replicas {
				require.NoError(t, srv.APIKeys().Prune(t.Context()))
			}
			r.traffic()
			r.deploy(2) // and retired.
			lacks(two, 1)
			r.deploy(2, 1) // Back again:
			r.deploy(1, 2)
			lacks(two, 1)
			for id, times := range r.rehashed.times {
				require.Equal(t, 1, times, "B31 the digest of %s is written back and forth", id)
			}
			require.Equal(t, list.name == "pepper", len(r.rehashed.times) > 0)
		})
	}
}

// TestDigestsAreWrittenOnce tests that a digest is rewritten only once, and the
// signing keys are sealed again only once, however often a key logs in to replicas
// of both orders.
func TestDigestsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	r := newRolling(t, func(c *oauth.Config, versions []int) {
		hostLists[0].listed(c, versions)
		hostLists[2].listed(c, versions)
	})
	r.deploy(1, 2)
	key := r.create(r.replicas[0])
	version := r.ring().Version
	for i := range 2 {
		srv, err := r.start(2, 1)
		require.NoError(t, err)
		r.replicas[i] = srv
	}
	for range 5 {
		for _, srv := range r.replicas {
			r.login(srv, key)
			require.NoError(t, srv.Step())
		}
	}
	require.Equal(t, 1, r.rehashed.times[key.id], "B31 no digest is written back and forth")
	require.Equal(t, version+1, r.ring().Version, "B31 nor is a signing key sealed back and forth")
}

// TestWithdrawnSigners tests that a signer and a seal key that leaked can be
// removed at once if Withdrawn names them.
func TestWithdrawnSigners(t *testing.T) {
	t.Parallel()
	for _, list := range hostLists[2:] {
		t.Run("B31 "+list.name, func(t *testing.T) {
			r := newRolling(t, list.listed)
			old, err := r.start(1)
			require.NoError(t, err)
			token := r.login(old, r.create(old))
			title := fmt.Sprintf(list.title, 1)
			withdrawn := func(versions ...int) (*oauth.Server, error) {
				return r.try(func(c *oauth.Config) { c.APIKeys.Withdrawn = []string{title}; list.listed(c, versions) })
			}
			_, err = withdrawn(2, 1)
			require.ErrorContains(t, err, "Options.Withdrawn names "+title+", which Config.S")
			_, err = r.start(2)
			require.ErrorContains(t, err, `name "`+title+`" in apikey.Options.Withdrawn`)
			srv, err := withdrawn(2)
			require.NoError(t, err)
			_, err = srv.Verifier().Verify(t.Context(), token)
			require.ErrorContains(t, err, "unknown", "its tokens are refused")
			require.Len(t, r.published(srv), 1)
			fresh := r.login(srv, r.create(srv))
			_, err = srv.Verifier().Verify(t.Context(), fresh)
			require.NoError(t, err)
		})
	}
}

// TestSignersInUse tests that the store's clock and the last time that a server
// signed with a signer decide whether it is in use.
func TestSignersInUse(t *testing.T) {
	t.Parallel()
	r := newRolling(t, hostLists[3].listed)
	srv, err := r.start(1, 2)
	require.NoError(t, err)
	for range 30 {
		r.clock.Advance(time.Hour)
		require.NoError(t, srv.Step())
	}
	_, err = r.start(2)
	require.ErrorContains(t, err, "Config.Signers lacks signer v1")
	require.ErrorContains(t, err, "until "+r.clock.Now().Add(26*time.Hour+5*time.Minute).UTC().Format(time.RFC3339))
	r.clock.Advance(26 * time.Hour)
	_, err = r.start(2)
	require.Error(t, err)
	r.clock.Advance(5 * time.Minute)
	_, err = r.start(2)
	require.NoError(t, err)
	t.Run("B29 a process with a wrong clock", func(t *testing.T) {
		r := newRolling(t, hostLists[3].listed)
		r.store.Upkeep = &storeClock{r.store.Upkeep, r.clock.Now}
		wrong := func(c *oauth.Config) {
			c.Now = func() time.Time { return r.clock.Now().Add(2 * 365 * 24 * time.Hour) }
			hostLists[3].listed(c, []int{1})
		}
		_, err := r.try(wrong)
		require.NoError(t, err)
		_, err = r.start(2)
		require.Error(t, err)
		r.clock.Advance(27 * time.Hour)
		_, err = r.start(2)
		require.NoError(t, err, "it is not in use for two years")
	})
	t.Run("another key of the same id", func(t *testing.T) {
		r := newRolling(t, hostLists[3].listed)
		_, err := r.start(1)
		require.NoError(t, err)
		_, err = r.try(func(c *oauth.Config) {
			hostLists[3].listed(c, []int{2})
			c.Signers[0].ID = "v1"
		})
		require.ErrorContains(t, err, "signer v1 has the fingerprint")
		_, err = r.try(func(c *oauth.Config) {
			c.SealKeys, c.Signers = nil, []oauth.SigningKey{{ID: "v1", Secret: make([]byte, 32)}}
		})
		require.ErrorContains(t, err, "signer v1 has the fingerprint")
		r.clock.Advance(27 * time.Hour)
		_, err = r.try(func(c *oauth.Config) {
			hostLists[3].listed(c, []int{2})
			c.Signers[0].ID = "v1"
		})
		require.ErrorIs(t, err, store.ErrConflict, "the name stays taken after the use has ended")
		require.ErrorContains(t, err, "Config.Signers: signer v1: another key was recorded under this name: give the new signer another name")
	})
}
