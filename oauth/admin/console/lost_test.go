package console_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// only returns the only key of team-a.
func (r *rig) only() apikey.Key {
	r.t.Helper()
	page, err := r.keys.List(r.t.Context(), people["ada"].Actor, store.KeyQuery{Workspace: "team-a"})
	require.NoError(r.t, err)
	require.Len(r.t, page.Keys, 1)
	return page.Keys[0]
}

// login logs in and gets a token.
func (r *rig) login(id, secret string) {
	r.t.Helper()
	login, err := r.keys.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Secret: secret})
	require.NoError(r.t, err)
	_, err = r.keys.Issue(r.t.Context(), login, apikey.Request{})
	require.NoError(r.t, err)
}

// secretForms are the forms that give a secret, filled in. Each returns its path.
var secretForms = map[string]func(*rig) (path string, form url.Values){
	"create": func(r *rig) (string, url.Values) {
		return newPage, r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "90d")
	},
	"rotate": func(r *rig) (string, url.Values) {
		key, secret := r.made("team-a", "ci", "project.list")
		r.login(key.ID, secret) // with the secret before
		path := "/keys/" + key.ID + "/rotate"
		return path, r.form("olga", path, "grace", "24h", "expires", "keep")
	},
}

const (
	offered    = "Show a new secret"
	notOffered = "Since then a program may have logged in with it, or the key was changed or cannot log in now."
)

// TestLostSecret: the answer to the second submit of a form replaces, by one press, the
// secret in the answer to the first one, which nobody saw.
func TestLostSecret(t *testing.T) {
	for name, fill := range secretForms {
		t.Run("B37 "+name, func(t *testing.T) {
			r := newRig(t)
			path, form := fill(r)
			lost := r.post("olga", path, form).secret()
			require.NotEmpty(t, lost)
			before := r.only()
			for _, again := range []*page{r.post("olga", path, form), r.get("olga", path+"?form="+form.Get("form"))} {
				require.Equal(t, http.StatusConflict, again.StatusCode)
				require.Contains(t, again.Body, offered)
				require.Empty(t, again.secret())
				require.NotContains(t, again.Body, lost)
				require.Equal(t, before.Version, r.only().Version, "nothing was done")
			}
			replace := r.post("olga", path, form).fields()
			got := r.post("olga", "/keys/"+before.ID+"/rotate", replace)
			require.Equal(t, http.StatusOK, got.StatusCode, got.Body)
			require.NotEmpty(t, got.secret())
			require.True(t, r.logsIn(before.ID, got.secret()))
			require.False(t, r.logsIn(before.ID, lost), "the lost one ended")
			after := r.only()
			require.Len(t, after.Credentials, len(before.Credentials))
			require.Equal(t, before.NotAfter, after.NotAfter)
			for i := range after.Credentials[:len(after.Credentials)-1] {
				require.Equal(t, before.Credentials[i].ID, after.Credentials[i].ID, "the others are as before")
				require.Equal(t, before.Credentials[i].NotAfter, after.Credentials[i].NotAfter)
			}

			// That form, too, gives one secret, and its second submit offers another one.
			twice := r.post("olga", "/keys/"+before.ID+"/rotate", replace)
			require.Equal(t, http.StatusConflict, twice.StatusCode)
			require.Contains(t, twice.Body, "Already rotated")
			require.Empty(t, twice.secret())
			require.Contains(t, twice.Body, offered)
			// The first form no longer offers it: the key was changed.
			require.Contains(t, r.post("olga", path, form).Body, notOffered)
		})
	}
}

// TestUsedSecretIsNotReplaced: once a program has logged in with the secret, or the key
// was changed, no page offers to replace it, and an offer made before is refused.
func TestUsedSecretIsNotReplaced(t *testing.T) {
	for name, meanwhile := range map[string]func(*rig, apikey.Key, string){
		"a login": func(r *rig, key apikey.Key, secret string) { r.login(key.ID, secret) },
		"a login, long ago": func(r *rig, key apikey.Key, secret string) {
			r.login(key.ID, secret)
			require.NoError(r.t, r.keys.Flush(r.t.Context()))
		},
		"the key is changed": func(r *rig, key apikey.Key, _ string) {
			name := "another"
			_, err := r.keys.Update(r.t.Context(), people["max"].Actor, key.ID, apikey.Changes{Name: &name})
			require.NoError(r.t, err)
		},
		"the key is disabled": func(r *rig, key apikey.Key, _ string) {
			_, err := r.keys.Disable(r.t.Context(), people["max"].Actor, key.ID, 0)
			require.NoError(r.t, err)
		},
		"keys are off": func(r *rig, _ apikey.Key, _ string) {
			s, err := r.keys.Settings(r.t.Context(), people["ada"].Actor)
			require.NoError(r.t, err)
			s.KeysOff = true
			_, err = r.keys.SaveSettings(r.t.Context(), people["ada"].Actor, s)
			require.NoError(r.t, err)
		},
	} {
		for form, fill := range secretForms {
			t.Run("B37 "+form+": "+name, func(t *testing.T) {
				r := newRig(t)
				path, form := fill(r)
				secret := r.post("olga", path, form).secret()
				replace := r.post("olga", path, form).fields()
				meanwhile(r, r.only(), secret)
				before := r.only()
				again := r.post("olga", path, form)
				require.Equal(t, http.StatusConflict, again.StatusCode)
				require.NotContains(t, again.Body, offered)
				require.Contains(t, again.Body, notOffered)

				got := r.post("olga", "/keys/"+before.ID+"/rotate", replace)
				require.Contains(t, []int{http.StatusUnprocessableEntity, http.StatusConflict, http.StatusForbidden}, got.StatusCode)
				require.Empty(t, got.secret())
				now := r.only()
				require.Equal(t, before.Credentials[len(before.Credentials)-1].ID, now.Credentials[len(now.Credentials)-1].ID)
				require.Equal(t, before.Version, now.Version)
				if strings.HasPrefix(name, "a login") {
					require.True(t, r.logsIn(before.ID, secret))
					require.Contains(t, got.Body, "a program has logged in with it")
				}
			})
		}
	}
	t.Run("B37 a login that cannot be written", func(t *testing.T) {
		r := newRig(t, func(st *store.Store, _ *apikey.Config, _ *console.Config) {
			*st = harness.Tapped(*st, func(context.Context, string) error { return store.ErrUnavailable }, "Upkeep.RecordUses")
		})
		path, form := secretForms["create"](r)
		secret := r.post("olga", path, form).secret()
		r.login(r.only().ID, secret)
		require.NotContains(t, r.post("olga", path, form).Body, offered)
	})
	t.Run("B19 a store that fails says nothing of the key", func(t *testing.T) {
		var down bool
		r := newRig(t, func(st *store.Store, _ *apikey.Config, _ *console.Config) {
			*st = harness.Tapped(*st, func(context.Context, string) error {
				if down {
					return store.ErrUnavailable
				}
				return nil
			}, "Keys.Lookup")
		})
		path, form := secretForms["create"](r)
		r.post("olga", path, form)
		down = true
		again := r.post("olga", path, form)
		require.Equal(t, http.StatusServiceUnavailable, again.StatusCode)
		require.NotContains(t, again.Body, "deleted")
	})
	t.Run("the key is deleted", func(t *testing.T) {
		r := newRig(t)
		path, form := secretForms["create"](r)
		r.post("olga", path, form)
		require.NoError(t, r.keys.Delete(t.Context(), people["olga"].Actor, r.only().ID, 0))
		again := r.post("olga", path, form)
		require.Equal(t, http.StatusConflict, again.StatusCode)
		require.Contains(t, again.Body, "The key has been deleted since then, or you may no longer see it.")
		require.NotContains(t, again.Body, offered)
	})
}

// TestTwoSubmits: of two submits at once to a slow store, one gets the secret. The other
// one gets that answer, whichever of the store's calls it finds the first one at, and even if
// the first one reached the workspace's limit of keys.
func TestTwoSubmits(t *testing.T) {
	for name, fill := range secretForms {
		for _, call := range []string{"OnceIDs.Find", "Keys.Find", "Keys.Create", "Keys.Update", "Settings.Workspace"} {
			t.Run("B37 "+name+", both in "+call, func(t *testing.T) {
				const submits = 2
				var mu sync.Mutex
				var met, waiting chan struct{}
				r := newRig(t, func(st *store.Store, keys *apikey.Config, _ *console.Config) {
					keys.DefaultRules = store.Rules{MaxKeys: 1}
					*st = harness.Tapped(*st, func(_ context.Context, made string) error {
						mu.Lock()
						first, all := waiting, met
						mu.Unlock()
						if made != call || first == nil {
							return nil
						}
						select { // wait until both are here, or the other one was answered
						case first <- struct{}{}:
							<-all
						default:
						}
						return nil
					})
				})
				path, form := fill(r)
				mu.Lock()
				waiting, met = make(chan struct{}, 1), make(chan struct{})
				mu.Unlock()
				answers := make(chan *page, submits)
				for range submits {
					go func() { answers <- r.post("olga", path, form) }()
				}
				var secrets, offers int
				for i := range submits {
					got := <-answers
					if i == 0 {
						close(met)
					}
					if got.secret() != "" {
						secrets++
					} else {
						require.Equal(t, http.StatusConflict, got.StatusCode, got.Body)
						require.Contains(t, got.Body, offered)
						offers++
					}
				}
				require.Equal(t, 1, secrets)
				require.Equal(t, 1, offers)
				require.Equal(t, 1, r.count("team-a"))
			})
		}
	}
}
