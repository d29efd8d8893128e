package oauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestAssertionTimes tests 7523-04 at the exact second.
func TestAssertionTimes(t *testing.T) {
	t.Parallel()
	now := start.Truncate(time.Second).Unix()
	for _, tc := range []struct {
		name          string
		exp, iat, nbf any // seconds from now; nil: no such claim
		long, allowed bool
		ok            bool
	}{
		{name: "valid for a second", exp: 1, ok: true},
		{name: "expired now", exp: 0},
		{name: "expired a second ago", exp: -1, iat: -60},
		{name: "expired in this second", exp: 0.9},
		{name: "5 minutes from iat", exp: 300, iat: 0, ok: true},
		{name: "5 minutes and a second from iat", exp: 301, iat: 0},
		{name: "5 minutes from an iat in the future", exp: 330, iat: 30, ok: true},
		{name: "5 minutes and a skew from now, without iat", exp: 330, ok: true},
		{name: "5 minutes, a skew and a second from now, without iat", exp: 331},
		{name: "issued long ago", exp: 60, iat: -241},
		{name: "issued at the start of 1970", exp: 60, iat: -now},
		{name: "iat 30 seconds in the future", exp: 60, iat: 30, ok: true},
		{name: "iat 31 seconds in the future", exp: 60, iat: 31},
		{name: "nbf 30 seconds in the future", exp: 60, nbf: 30, ok: true},
		{name: "nbf 31 seconds in the future", exp: 60, iat: 0, nbf: 31},
		{name: "nbf in the past", exp: 60, iat: 0, nbf: -3600, ok: true},
		{name: "an hour", exp: 3600, iat: 0},
		{name: "an hour, that the public key allows and the host does not", exp: 3600, iat: 0, long: true},
		{name: "an hour, that the host allows and the public key does not", exp: 3600, iat: 0, allowed: true},
		{name: "an hour, that both allow", exp: 3600, iat: 0, long: true, allowed: true, ok: true},
		{name: "an hour and a second, that both allow", exp: 3601, iat: 0, long: true, allowed: true},
	} {
		t.Run("7523-04 "+tc.name, func(t *testing.T) {
			st := memstore.New()
			long := func(s *setup) { s.store, s.config.APIKeys.LongAssertions = st, tc.long }
			m := newWorld(t, long).newMachine(func(p *store.PublicKey) { p.LongAssertions = tc.long })
			// The same store under a server with the host's choice.
			m.w = newWorld(t, func(s *setup) { s.store, s.config.APIKeys.LongAssertions = st, tc.allowed })
			m.w.clock.Set(start.Truncate(time.Second))
			at := func(v any) any {
				switch v := v.(type) {
				case int:
					return now + int64(v)
				case int64:
					return now + v
				case float64:
					return float64(now) + v
				}
				return nil
			}
			text := m.assertion("exp", at(tc.exp), "iat", at(tc.iat), "nbf", at(tc.nbf))
			if tc.ok {
				a := m.login(text)
				require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
				return
			}
			m.refused(text)
		})
	}
	t.Run("7523-04 up to the second in which it expires", func(t *testing.T) {
		m := newWorld(t).newMachine()
		early, late := m.assertion(), m.assertion()
		m.w.clock.Set(start.Truncate(time.Second).Add(time.Minute - time.Microsecond))
		require.Equal(t, http.StatusOK, m.login(early).StatusCode)
		m.w.clock.Advance(time.Microsecond)
		m.refused(late)
	})
	t.Run("7523-04 the token may live longer than the assertion", func(t *testing.T) {
		m := newWorld(t).newMachine()
		a := m.login(m.assertion("exp", m.w.clock.Now().Unix()+1))
		require.EqualValues(t, 300, a.Member("expires_in"))
	})
}

// spending records what is spent, and fails on demand.
type spending struct {
	store.OnceIDs
	mu    sync.Mutex
	spent []store.OnceID
	fail  error
}

func (s *spending) Spend(ctx context.Context, id store.OnceID, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.spent = append(s.spent, id)
	return s.OnceIDs.Spend(ctx, id, now)
}

// TestAssertionsAreSpent tests that each assertion logs in once.
func TestAssertionsAreSpent(t *testing.T) {
	t.Parallel()
	st := memstore.New()
	ids := &spending{OnceIDs: st.OnceIDs}
	st.OnceIDs = ids
	w := newWorld(t, unthrottled, func(s *setup) { s.store = st })
	m := w.newMachine()

	for name, jti := range map[string]any{"none": nil, "empty": "", "of 256 bytes": strings.Repeat("j", 256), "of 128 letters, but 256 bytes": strings.Repeat("é", 128), "a number": 7} {
		t.Run("7523-05 jti "+name, func(t *testing.T) {
			m := m.at(t)
			m.refused(m.assertion("jti", jti))
			require.Empty(t, ids.spent)
		})
	}
	for name, jti := range map[string]string{"of one byte": "j", "of 255 bytes": strings.Repeat("j", 255), "with a NUL": "a\x00b"} {
		t.Run("7523-06 jti "+name, func(t *testing.T) {
			m := m.at(t)
			text := m.assertion("jti", jti)
			require.Equal(t, http.StatusOK, m.login(text).StatusCode)
			m.refused(text)
			m.refused(m.assertion("jti", jti))
		})
	}
	t.Run("7523-05 and B18 one after the other", func(t *testing.T) {
		m := m.at(t)
		text := m.assertion()
		require.Equal(t, http.StatusOK, m.login(text).StatusCode)
		for range 3 {
			m.refused(text)
		}
	})
	t.Run("7523-05 and B18 64 at once", func(t *testing.T) {
		m := m.at(t)
		text := m.assertion()
		counts := atOnce(64, func(int) int { return m.login(text).StatusCode })
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 63}, counts)
	})
	t.Run("7523-05 and B18 64 at once on two replicas", func(t *testing.T) {
		m, second := m.at(t), m.at(t)
		second.w = newWorld(t, unthrottled, func(s *setup) { s.store, s.config.Issuer = st, w.base })
		text := m.assertion()
		counts := atOnce(64, func(i int) int { return []*machine{m, second}[i%2].login(text).StatusCode })
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 63}, counts)
	})
	t.Run("7523-05 and 7523-06 after a restart, at each endpoint", func(t *testing.T) {
		m := m.at(t)
		text := m.assertion()
		require.Equal(t, http.StatusOK, m.login(text).StatusCode)
		m.w = newWorld(t, unthrottled, func(s *setup) { s.store, s.config.Issuer = st, w.base })
		m.refused(text)
		for _, path := range []string{"/api/introspect", "/api/revoke"} {
			m.w.refused(m.w.send(http.MethodPost, path, m.form(text, "token", "x"), "Content-Type", form), http.StatusUnauthorized, "invalid_client")
		}
	})
	t.Run("7523-06 one jti for two clients", func(t *testing.T) {
		m, other := m.at(t), w.at(t).newMachine()
		require.Equal(t, http.StatusOK, m.login(m.assertion("jti", "shared")).StatusCode)
		require.Equal(t, http.StatusOK, other.login(other.assertion("jti", "shared")).StatusCode)
		m.refused(m.assertion("jti", "shared"))
	})
	t.Run("7523-06 the id is kept until the assertion has expired, and a skew longer", func(t *testing.T) {
		m := m.at(t)
		ids.spent = nil
		exp := m.w.clock.Now().Unix() + 200
		require.Equal(t, http.StatusOK, m.login(m.assertion("exp", exp)).StatusCode)
		require.Len(t, ids.spent, 1)
		require.Equal(t, time.Unix(exp+30, 0).UTC(), ids.spent[0].Expires.UTC())
	})
	t.Run("7523-05 nobody without the private key spends it", func(t *testing.T) {
		m := m.at(t)
		ids.spent = nil
		thief := &machine{Program: harness.NewProgram(t, m.Kid), w: m.w, key: m.key}
		m.refused(thief.assertion("jti", "wanted"))
		m.refused(m.Sign(t, map[string]any{"kid": "unknown"}, m.claims("jti", "wanted")))
		require.Empty(t, ids.spent)
		require.Equal(t, http.StatusOK, m.login(m.assertion("jti", "wanted")).StatusCode)
	})
	t.Run("7523-05 wrong claims do not spend it", func(t *testing.T) {
		m := m.at(t)
		ids.spent = nil
		for _, wrong := range [][]any{{"aud", "x"}, {"exp", 1}, {"nbf", 4e9}, {"sub", "x"}, {"aud", []string{m.w.base}}} {
			m.refused(m.assertion(append(wrong, "jti", "kept")...), "client_id", m.key.ID)
		}
		m.refused(m.assertion("jti", "kept"), "client_id", w.key.ID)
		require.Empty(t, ids.spent)
		require.Equal(t, http.StatusOK, m.login(m.assertion("jti", "kept")).StatusCode)
	})
	t.Run("7523-05 what fails before the client is looked at does not spend it", func(t *testing.T) {
		m := m.at(t)
		text := m.assertion()
		m.w.refused(m.login(text, "client_secret", "x"), http.StatusBadRequest, "invalid_request")
		m.w.refused(m.login(text, "grant_type", "x"), http.StatusBadRequest, "invalid_request")
		require.Equal(t, http.StatusOK, m.login(text).StatusCode)
	})
	for name, fail := range map[string]error{"unavailable": store.ErrUnavailable, "full": errors.New("canary: OOM command not allowed"), "slow": context.DeadlineExceeded} {
		t.Run("B18 and B19 a store that is "+name, func(t *testing.T) {
			m := m.at(t)
			text := m.assertion()
			ids.fail = fail
			a := m.login(text)
			ids.fail = nil
			m.w.refused(a, http.StatusServiceUnavailable, "temporarily_unavailable")
			require.NotContains(t, a.Body, "canary")
			require.Equal(t, http.StatusOK, m.login(text).StatusCode, "it was not spent")
		})
	}
	t.Run("B18 a server needs the store's one-time ids", func(t *testing.T) {
		st := memstore.New()
		st.OnceIDs = nil
		_, err := oauth.New(st, oauth.Config{Logger: quiet, Issuer: "https://a.example", Permissions: catalog})
		require.ErrorContains(t, err, "Store.OnceIDs")
	})
}

// atOnce calls do n times at once, and counts the results.
func atOnce(n int, do func(i int) int) map[int]int {
	var mu sync.Mutex
	var clients sync.WaitGroup
	counts := map[int]int{}
	gate := make(chan struct{})
	for i := range n {
		clients.Go(func() {
			<-gate
			result := do(i)
			mu.Lock()
			defer mu.Unlock()
			counts[result]++
		})
	}
	close(gate)
	clients.Wait()
	return counts
}

// TestMethodsOfAKey tests 7523-08: a key takes only what it holds.
func TestMethodsOfAKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.newMachine()
	t.Run("7523-08 a key without a secret refuses every secret", func(t *testing.T) {
		w := w.at(t)
		for _, secret := range []string{w.secret, m.key.Credentials[0].PublicKey.JWK, m.key.Credentials[0].ID, m.assertion()} {
			w.refused(w.post(cc, basic(m.key.ID, secret)...), http.StatusUnauthorized, "invalid_client")
		}
		w.refused(w.post(cc+"&client_id="+m.key.ID), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("7523-08 a key without a public key refuses every assertion", func(t *testing.T) {
		other := &machine{Program: m.Program, w: w.at(t), key: w.key}
		other.refused(other.assertion())
		other.refused(other.Sign(t, map[string]any{"kid": nil}, other.claims()))
	})
	t.Run("7523-08 a key with both takes both, until one is retired", func(t *testing.T) {
		w := w.at(t)
		key, secret := w.newKey("team-a", "project.list")
		p := harness.NewProgram(t, "")
		key = addPublicKey(t, w, key.ID, p)
		both := &machine{Program: p, w: w, key: key}
		token := both.login(both.assertion()).Token()
		require.Equal(t, http.StatusOK, w.call(token))
		bySecret := w.login(key.ID, secret)
		_, err := w.APIKeys().Retire(t.Context(), admin, key.ID, key.Credentials[1].ID, 0)
		require.NoError(t, err)
		both.refused(both.assertion())
		require.Equal(t, http.StatusUnauthorized, w.call(token), "its tokens end at once")
		require.Equal(t, http.StatusOK, w.call(bySecret))
	})
	t.Run("7523-08 an expired public key", func(t *testing.T) {
		w := newWorld(t)
		key, _ := w.newKey("team-a", "project.list")
		p := harness.NewProgram(t, "")
		ends := w.clock.Now().Add(time.Minute)
		key = addPublicKey(t, w, key.ID, p, ends)
		m := &machine{Program: p, w: w, key: key}
		a := m.login(m.assertion())
		require.EqualValues(t, 60, a.Member("expires_in"), "the token ends with it")
		w.clock.Set(ends)
		m.refused(m.assertion())
		require.Equal(t, http.StatusUnauthorized, w.call(a.Token()))
	})
}

// addPublicKey gives a key the public key of a program.
func addPublicKey(t *testing.T, w *world, id string, p *harness.Program, notAfter ...time.Time) apikey.Key {
	t.Helper()
	spec := apikey.CredentialSpec{Name: "laptop", PublicKey: &store.PublicKey{JWK: p.JWK(t)}}
	if len(notAfter) > 0 {
		spec.NotAfter = notAfter[0]
	}
	key, err := w.APIKeys().AddCredential(t.Context(), admin, id, spec)
	require.NoError(t, err)
	return key
}

// TestAssertionElsewhere tests that a key authenticates with an assertion at the endpoints
// about tokens as it does at the login.
func TestAssertionElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, unthrottled)
	m := w.newMachine()
	ask := func(m *machine, path, assertion, token string, further ...string) answer {
		return m.w.send(http.MethodPost, path, m.form(assertion, append(further, "token", token)...), "Content-Type", form)
	}
	for path, works := range map[string]func(m *machine, a answer, token string){
		"/api/introspect": func(m *machine, a answer, token string) {
			require.Equal(m.w.t, true, a.Member("active"), a.Body)
			require.Equal(m.w.t, http.StatusOK, m.w.call(token))
		},
		"/api/revoke": func(m *machine, _ answer, token string) {
			require.Equal(m.w.t, http.StatusUnauthorized, m.w.call(token))
		},
	} {
		t.Run("7523-01 "+path, func(t *testing.T) {
			m := m.at(t)
			token := m.login(m.assertion()).Token()
			a := ask(m, path, m.assertion(), token)
			require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
			works(m, a, token)
		})
		t.Run("7523-03 "+path+": its URL is no audience", func(t *testing.T) {
			m := m.at(t)
			m.w.refused(ask(m, path, m.assertion("aud", m.w.base+path), "x"), http.StatusUnauthorized, "invalid_client")
		})
		t.Run("7523-05 "+path+" spends it", func(t *testing.T) {
			m := m.at(t)
			text := m.assertion()
			require.Equal(t, http.StatusOK, ask(m, path, text, "x").StatusCode)
			m.w.refused(ask(m, path, text, "x"), http.StatusUnauthorized, "invalid_client")
			m.refused(text)
		})
		t.Run("7523-01 "+path+" with another method too", func(t *testing.T) {
			m := m.at(t)
			m.w.refused(ask(m, path, m.assertion(), "x", "client_secret", m.w.secret), http.StatusBadRequest, "invalid_request")
			m.w.refused(ask(m, path, m.assertion(), "x", "client_assertion", "x"), http.StatusBadRequest, "invalid_request")
		})
	}
	t.Run("7009-04 not the token of another key", func(t *testing.T) {
		m := m.at(t)
		token := m.w.login(m.w.key.ID, m.w.secret)
		require.Equal(t, http.StatusOK, ask(m, "/api/revoke", m.assertion(), token).StatusCode)
		require.Equal(t, http.StatusOK, m.w.call(token))
	})
	t.Run("B32 an assertion is not taken in place of a token", func(t *testing.T) {
		m := m.at(t)
		for _, value := range []string{"Bearer " + m.assertion(), "Basic " + m.assertion()} {
			require.Equal(t, http.StatusUnauthorized, m.w.send(http.MethodGet, "/any", "", "Authorization", value).StatusCode)
		}
	})
	t.Run("6749-23 an assertion sent as the scope is not repeated", func(t *testing.T) {
		m := m.at(t)
		text := m.assertion()
		a := m.login(text, "scope", "no.such "+text)
		m.w.refused(a, http.StatusBadRequest, "invalid_scope")
		require.NotContains(t, a.Body, text[:20])
	})
}
