package oauth_test

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	management "github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// job is a key that trusts a workflow, and the workflow.
type job struct {
	*machine
	issuer *oauthtest.Issuer
	entry  trust.Issuer
}

// newJob makes a world whose server trusts an issuer, and a key with a trust in it.
func newJob(t testing.TB, issuer *oauthtest.Issuer, entry func(*trust.Issuer), changes ...func(*setup)) *job {
	t.Helper()
	j := &job{issuer: issuer}
	j.entry = j.issuer.Entry(trust.GitHubActions())
	j.entry.JWKS = j.issuer.JWKS()
	if entry != nil {
		entry(&j.entry)
	}
	w := newWorld(t, append(changes, func(s *setup) { s.config.TrustedIssuers = []trust.Issuer{j.entry} })...)
	j.machine = &machine{w: w}
	j.issuer.Clock = w.clock
	j.key = j.newKey(t)
	return j
}

func (j *job) spec() apikey.CredentialSpec {
	return apikey.CredentialSpec{Name: "deployment", Trust: &store.Trust{Issuer: j.entry.Name, Claims: []store.Claim{
		{Name: "repository_id", Value: "74"}, {Name: "environment", Value: "production"},
	}}}
}

func (j *job) newKey(t testing.TB, change ...func(*apikey.CredentialSpec)) apikey.Key {
	t.Helper()
	spec := j.spec()
	for _, c := range change {
		c(&spec)
	}
	key, _, err := j.w.APIKeys().Create(t.Context(), harness.Ada, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list project.read"), NoSecret: true, Credentials: []apikey.CredentialSpec{spec},
	})
	require.NoError(t, err)
	return key
}

// identity is a valid identity, with changes of its claims; nil removes one.
func (j *job) identity(changes ...any) string {
	j.w.t.Helper()
	id := j.issuer.GitHubActions(j.w.base)
	for i := 0; i < len(changes); i += 2 {
		id.Claims[changes[i].(string)] = changes[i+1]
	}
	maps.DeleteFunc(id.Claims, func(_ string, v any) bool { return v == nil })
	return j.issuer.Sign(j.w.t, id)
}

// enter logs in with an identity.
func (j *job) enter(identity string) answer {
	j.w.t.Helper()
	return j.login(identity, "client_id", j.key.ID)
}

func (j *job) accepted(identity string) string {
	j.w.t.Helper()
	a := j.enter(identity)
	require.Equal(j.w.t, http.StatusOK, a.StatusCode, a.Body)
	return a.Token()
}

func (j *job) denied(identity string) {
	j.w.t.Helper()
	j.refused(identity, "client_id", j.key.ID)
}

// TestIdentity tests B34: the login with an identity of a trusted issuer.
func TestIdentity(t *testing.T) {
	t.Parallel()
	issuer := oauthtest.NewIssuer(t)
	t.Run("B34 the trust decides", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		token := j.accepted(j.identity())
		claims := harness.Claims(t, token)
		require.Equal(t, j.key.ID, claims["sub"])
		require.Equal(t, j.key.Credentials[0].ID, claims["credential_id"])
		require.True(t, strings.HasPrefix(j.key.Credentials[0].ID, j.entry.Name+"."))
		require.Equal(t, http.StatusOK, j.w.call(token))
		for _, wrong := range [][]any{
			{"repository_id", "75"}, {"environment", "staging"}, {"repository_id", 74}, {"aud", j.w.base + "/api/login"}, {"aud", []string{j.w.base, "x"}},
			{"iss", "https://token.actions.githubusercontent.com"}, {"iss", j.key.ID}, {"exp", j.w.clock.Now().Unix()}, {"sub", ""},
		} {
			j.denied(j.identity(wrong...))
		}
		require.Equal(t, http.StatusOK, j.w.call(j.accepted(j.identity("aud", []string{j.w.base}))), "a list of exactly the issuer")
	})
	t.Run("B34 in JSON", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		a := j.w.postJSON(`{"client_id":"` + j.key.ID + `","client_assertion_type":"` + jwtBearer + `","client_assertion":"` + j.identity() + `"}`)
		require.Equal(t, http.StatusOK, a.StatusCode, a.Body)
	})
	t.Run("B34 the client_id is required", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		j.refused(j.identity())
		j.refused(j.identity("sub", j.key.ID))
		j.refused(j.identity("iss", j.key.ID, "sub", j.key.ID))
		j.refused(j.identity(), "client_id", j.w.key.ID)
		j.refused(j.identity(), "client_id", "nobody")
	})
	t.Run("B34 a typ of an access token, and the tokens of this server", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		id := j.issuer.GitHubActions(j.w.base)
		id.Header = map[string]any{"typ": "at+jwt"}
		j.denied(j.issuer.Sign(t, id))
		j.denied(j.accepted(j.identity()))
	})
	t.Run("B34 a replay is allowed without Once", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		identity := j.identity("jti", nil)
		first, second := j.accepted(identity), j.accepted(identity)
		require.NotEqual(t, first, second)
	})
	t.Run("B34 and B18 Once accepts each identity once, for all keys", func(t *testing.T) {
		j := newJob(t, issuer, func(e *trust.Issuer) { e.Once = true })
		identity := j.identity()
		counts := atOnce(16, func(int) int { return j.enter(identity).StatusCode })
		require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusUnauthorized: 15}, counts)
		other := j.newKey(t)
		j.refused(identity, "client_id", other.ID)
		j.denied(j.identity("jti", nil))
		wanted := j.identity("jti", "wanted", "environment", "staging")
		j.denied(wanted)
		j.accepted(j.identity("jti", "wanted"))
	})
	t.Run("B34 the token ends with the identity, whatever the leeway", func(t *testing.T) {
		j := newJob(t, issuer, nil, func(s *setup) { s.config.Leeway = 2 * time.Minute })
		ends := j.w.clock.Now().Add(time.Minute).Truncate(time.Second)
		a := j.enter(j.identity("exp", ends.Unix()))
		require.EqualValues(t, 60, a.Member("expires_in"), "from the whole second")
		j.w.clock.Set(ends.Add(-time.Second))
		require.Equal(t, http.StatusOK, j.w.call(a.Token()))
		j.w.clock.Set(ends)
		require.Equal(t, http.StatusUnauthorized, j.w.call(a.Token()))
	})
	t.Run("B34 the token ends before the identity", func(t *testing.T) {
		j := newJob(t, issuer, nil, func(s *setup) { s.config.Leeway = 2 * time.Minute })
		token := j.accepted(j.identity("exp", j.w.clock.Now().Add(6*time.Minute).Unix()))
		j.w.clock.Advance(5*time.Minute + 30*time.Second)
		require.Equal(t, http.StatusOK, j.w.call(token), "within the leeway")
		j.w.clock.Advance(30 * time.Second)
		require.Equal(t, http.StatusUnauthorized, j.w.call(token), "the identity has ended")
	})
	t.Run("B34 the token ends with the trust", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		ends := j.w.clock.Now().Add(time.Minute)
		j.key = j.newKey(t, func(c *apikey.CredentialSpec) { c.NotAfter = ends })
		a := j.enter(j.identity())
		require.EqualValues(t, 60, a.Member("expires_in"))
		j.w.clock.Set(ends)
		require.Equal(t, http.StatusUnauthorized, j.w.call(a.Token()))
		j.denied(j.identity())
	})
	t.Run("B34 to retire the trust ends its tokens at once", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		other := j.spec()
		other.Trust.Claims[1] = store.Claim{Name: "ref", Value: "refs/heads/*"}
		key, err := j.w.APIKeys().AddCredential(t.Context(), harness.Ada, j.key.ID, other)
		require.NoError(t, err)
		token := j.accepted(j.identity())
		require.Equal(t, key.Credentials[0].ID, harness.Claims(t, token)["credential_id"], "the first that fits")
		_, err = j.w.APIKeys().Retire(t.Context(), harness.Ada, key.ID, key.Credentials[0].ID, 0)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, j.w.call(token))
		require.Equal(t, http.StatusOK, j.w.call(j.accepted(j.identity())), "by the other trust")
		_, err = j.w.APIKeys().Retire(t.Context(), harness.Ada, key.ID, key.Credentials[1].ID, 0)
		require.NoError(t, err)
		j.denied(j.identity())
	})
	for name, act := range map[string]func(j *job) error{
		"disabled": func(j *job) error { return errOf(j.w.APIKeys().Disable(t.Context(), harness.Ada, j.key.ID, 0)) },
		"suspended": func(j *job) error {
			return j.w.APIKeys().SetSuspended(t.Context(), harness.Ada, "team-a", true)
		},
		"expired": func(j *job) error {
			soon := apikey.Expiry{At: j.w.clock.Now().Add(time.Minute)}
			defer j.w.clock.Advance(time.Minute)
			return errOf(j.w.APIKeys().Update(t.Context(), harness.Ada, j.key.ID, apikey.Changes{Expiry: &soon}))
		},
	} {
		t.Run("B34 a key that is "+name+" says so only to those whom it trusts", func(t *testing.T) {
			j := newJob(t, issuer, nil)
			token := j.accepted(j.identity())
			require.NoError(t, act(j))
			a := j.enter(j.identity())
			j.w.refused(a, http.StatusUnauthorized, "invalid_client")
			require.Contains(t, a.Description(), name)
			require.Equal(t, http.StatusUnauthorized, j.w.call(token))
			j.denied(j.identity("environment", "staging"))
		})
	}
	t.Run("B34 policies see the identity", func(t *testing.T) {
		var seen []policy.TokenRequest
		see := policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			seen = append(seen, *r)
			if r.Identity != nil && r.Identity.Claims["actor"] == "mallory" {
				return &policy.Denied{Rule: "actor", Reason: "This person may not deploy."}
			}
			return nil
		})
		j := newJob(t, issuer, nil, func(s *setup) { s.config.Policy = see })
		j.accepted(j.identity())
		require.Equal(t, j.issuer.URL, seen[0].Identity.Issuer)
		require.Equal(t, "74", seen[0].Identity.Claims["repository_id"])
		require.Equal(t, j.key.Credentials[0].ID, seen[0].Credential.ID)
		require.NotEmpty(t, seen[0].Identity.Subject)
		require.False(t, seen[0].Identity.Expires.IsZero())
		j.w.refused(j.enter(j.identity("actor", "mallory")), http.StatusBadRequest, "unauthorized_client")
		j.w.login(j.w.key.ID, j.w.secret)
		require.Nil(t, seen[2].Identity, "a secret is no identity")
	})
	t.Run("B34 the use of each trust is kept", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		other := j.spec()
		other.Trust.Claims[1] = store.Claim{Name: "ref", Value: "refs/heads/*"}
		_, err := j.w.APIKeys().AddCredential(t.Context(), harness.Ada, j.key.ID, other)
		require.NoError(t, err)
		j.accepted(j.identity())
		require.NoError(t, j.w.APIKeys().Flush(t.Context()))
		key, err := j.w.APIKeys().Get(t.Context(), harness.Ada, j.key.ID)
		require.NoError(t, err)
		require.Equal(t, j.w.clock.Now(), key.Credentials[0].LastUsed)
		require.Zero(t, key.Credentials[1].LastUsed)
	})
	t.Run("B04 failures spend the budget, and an identity that is right does not", func(t *testing.T) {
		j := newJob(t, issuer, nil, func(s *setup) { s.config.APIKeys.Budgets.PerAddressAndKey = 3 })
		for range 3 {
			j.denied(j.identity("environment", "staging"))
		}
		j.w.refused(j.enter(j.identity("environment", "staging")), http.StatusTooManyRequests, "temporarily_unavailable")
		j.accepted(j.identity())
	})
	t.Run("B34 the scope is not repeated if it is the assertion", func(t *testing.T) {
		j := newJob(t, issuer, nil)
		identity := j.identity()
		a := j.login(identity, "client_id", j.key.ID, "scope", "no.such "+identity)
		j.w.refused(a, http.StatusBadRequest, "invalid_scope")
		require.NotContains(t, a.Body, identity[:20])
	})
}

// TestIssuerOutage tests B34 and B19: what an issuer that cannot be reached stops.
func TestIssuerOutage(t *testing.T) {
	t.Parallel()
	issuer := oauthtest.NewIssuer(t)
	j := newJob(t, issuer, func(e *trust.Issuer) { e.JWKS = nil })
	m := j.w.newMachine()
	j.accepted(j.identity()) // fetches the keys
	j.issuer.Down()
	j.w.clock.Advance(2 * time.Minute) // a fetch for an unknown kid is allowed again
	j.accepted(j.identity())
	known := j.identity()
	j.issuer.Rotate(t, "RS256")
	j.w.refused(j.enter(j.identity()), http.StatusServiceUnavailable, "temporarily_unavailable")
	j.accepted(known)
	require.Equal(t, http.StatusOK, m.login(m.assertion()).StatusCode)
	j.w.login(j.w.key.ID, j.w.secret)
	j.refused(j.identity(), "client_id", m.key.ID) // of a key without trusts
}

// TestRemovedIssuer tests B34: what happens when the host removes an entry.
func TestRemovedIssuer(t *testing.T) {
	t.Parallel()
	_, edKey, _ := testKeys()
	st, signers := memstore.New(), []oauth.SigningKey{{Key: edKey}}
	j := newJob(t, oauthtest.NewIssuer(t), nil, func(s *setup) { s.store, s.config.Signers = st, signers })
	token, bySecret := j.accepted(j.identity()), j.w.login(j.w.key.ID, j.w.secret)
	ok := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for _, tc := range []struct {
		name    string
		entries []trust.Issuer
		status  int
	}{
		{"it is there", []trust.Issuer{j.entry}, http.StatusOK},
		{"it is removed", nil, http.StatusUnauthorized},
		{"another one is there", []trust.Issuer{trust.GitLab("gitlab", "https://gitlab.example")}, http.StatusUnauthorized},
		{"it is there again", []trust.Issuer{j.entry}, http.StatusOK},
	} {
		t.Run("B34 "+tc.name, func(t *testing.T) {
			srv, err := oauth.New(st, oauth.Config{
				Logger: quiet, Issuer: j.w.base, InsecureLoopback: true, Permissions: catalog, Signers: signers, TrustedIssuers: tc.entries, Now: j.w.clock.Now,
				LoginTimeout: time.Minute, APIKeys: apikey.Options{RefuseAfter: -1},
			})
			require.NoError(t, err)
			manage, err := management.New(srv.APIKeys(), management.Config{Authorize: management.Bearer(srv.Verifier()), CursorKey: make([]byte, 32)})
			require.NoError(t, err)
			for _, c := range []struct {
				token  string
				status int
			}{{token, tc.status}, {bySecret, http.StatusOK}} {
				credential := []string{"Authorization", "Bearer " + c.token}
				require.Equal(t, c.status, serve(srv.Require().AnyWorkspace()(ok), http.MethodGet, "/", "", credential...).StatusCode)
				require.Equal(t, c.status, serve(manage, http.MethodGet, "/me", "", credential...).StatusCode)
				a := serve(srv.Introspection(), http.MethodPost, "/", "token="+c.token, basic(j.w.key.ID, j.w.secret)...)
				require.Equal(t, c.status == http.StatusOK, a.Member("active"), a.Body)
			}
			a := serve(srv.Token(), http.MethodPost, "/", j.form(j.identity(), "client_id", j.key.ID))
			require.Equal(t, tc.status, a.StatusCode, a.Body)
		})
	}
}

func errOf[T any](_ T, err error) error { return err }
