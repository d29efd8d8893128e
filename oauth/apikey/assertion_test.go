package apikey_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	issuer   = "https://login.example"
	endpoint = issuer + "/api/login"
	clusters = "https://cluster.example"
)

// withAssertions configures a service that accepts assertions, and the identities of an
// issuer whose key the program has.
func withAssertions(t testing.TB, p *harness.Program) func(*apikey.Config) {
	return func(c *apikey.Config) {
		var err error
		c.Issuer, c.TokenURL = issuer, endpoint
		c.TrustedIssuers, err = trust.New([]trust.Issuer{{
			Name: "cluster", Issuer: clusters, JWKS: []byte(`{"keys":[` + p.JWK(t) + `]}`), Algorithms: []string{"ES256"},
			Claims: []trust.Claim{{Name: "sub", Immutable: true}},
		}}, trust.Config{Audience: issuer, Now: c.Now, Logger: c.Logger})
		require.NoError(t, err)
	}
}

// pod is a rig with two keys: one that trusts a service account, and one with a public key.
type pod struct {
	*rig
	*harness.Program
	trusting, own apikey.Key
	ids           int
}

func newPod(t testing.TB, st store.Store, configure ...func(*apikey.Config)) *pod {
	t.Helper()
	p := &pod{Program: harness.NewProgram(t, "k1")}
	p.rig = rigOn(t, st, append([]func(*apikey.Config){withAssertions(t, p.Program)}, configure...)...)
	p.own = p.NewKey(t, p.Service, "team-a", "project.list")
	var err error
	p.trusting, _, err = p.Create(t.Context(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: perms("project.list"), NoSecret: true,
		Credentials: []apikey.CredentialSpec{{Name: "deployer", Trust: &store.Trust{Issuer: "cluster", Claims: []store.Claim{{Name: "sub", Value: "deployer"}}}}},
	})
	require.NoError(t, err)
	return p
}

// sign signs claims with changes; nil removes one.
func (p *pod) sign(by *harness.Program, header, claims map[string]any, changes ...any) string {
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	text := by.Sign(p.t, header, claims)
	p.keep(text)
	return text
}

// assertion is one that the program signed for its own key.
func (p *pod) assertion(changes ...any) string {
	p.ids++
	now := p.clock.Now().Unix()
	return p.sign(p.Program, nil, map[string]any{"iss": p.own.ID, "sub": p.own.ID, "aud": issuer, "iat": now, "exp": now + 60, "jti": fmt.Sprint("id-", p.ids)}, changes...)
}

// identity is one of the trusted issuer.
func (p *pod) identity(changes ...any) string {
	now := p.clock.Now().Unix()
	return p.sign(p.Program, nil, map[string]any{"iss": clusters, "sub": "deployer", "aud": issuer, "iat": now, "exp": now + 600}, changes...)
}

func (p *pod) authenticate(id, assertion string) error {
	return p.note(errOf(p.logIn(apikey.Credentials{ID: id, Assertion: assertion, Address: addrA}, apikey.Request{})))
}

// TestRefusedAssertionsAreExplained tests that the host finds out why an assertion does
// not fit, and the client does not.
func TestRefusedAssertionsAreExplained(t *testing.T) {
	for _, tc := range []struct {
		name   string
		send   func(p *pod) (id, assertion string)
		reason string
	}{
		{"7523-07 another kid", func(p *pod) (string, string) {
			return p.own.ID, p.sign(harness.NewProgram(t, "k2"), nil, map[string]any{"iss": p.own.ID, "sub": "c4n4ry", "aud": "x", "exp": 1})
		},
			"no public key of the key that has not ended has its alg and kid"},
		{"7523-07 another private key", func(p *pod) (string, string) {
			return p.own.ID, p.sign(harness.NewProgram(t, "k1"), nil, map[string]any{"iss": p.own.ID, "sub": "c4n4ry", "aud": "x", "exp": 1})
		},
			"its signature does not match the public key"},
		{"7523-02 another sub", func(p *pod) (string, string) { return p.own.ID, p.assertion("sub", "c4n4ry") }, "iss and sub must be the id of the key"},
		{"7523-03 another aud", func(p *pod) (string, string) { return "", p.assertion("aud", "c4n4ry") }, "aud must be the issuer identifier of this server, as a string"},
		{"7523-03 the endpoint", func(p *pod) (string, string) { return "", p.assertion("aud", endpoint) }, "aud must be the issuer identifier of this server, as a string"},
		{"7523-04 too long", func(p *pod) (string, string) { return "", p.assertion("exp", p.clock.Now().Unix()+301) }, "it is valid for longer than 5 minutes"},
		{"7523-04 expired", func(p *pod) (string, string) { return "", p.assertion("exp", p.clock.Now().Unix()) }, "it has expired"},
		{"7523-04 early", func(p *pod) (string, string) { return "", p.assertion("nbf", p.clock.Now().Unix()+31) }, "nbf or iat is in the future"},
		{"7523-05 no jti", func(p *pod) (string, string) { return "", p.assertion("jti", nil) }, "jti must have 1 to 255 bytes"},
		{"7523-05 a replay", func(p *pod) (string, string) {
			text := p.assertion("jti", "c4n4ry")
			require.NoError(t, p.authenticate("", text))
			return "", text
		}, "its jti was used before"},
		{"7523-01 another typ", func(p *pod) (string, string) {
			return p.own.ID, p.sign(p.Program, map[string]any{"typ": "c4n4ry+jwt"}, map[string]any{"iss": p.own.ID, "sub": "x", "aud": "x", "exp": 1})
		}, "its typ is not one of a client's assertion"},
		{"7523-08 a key with a public key only", func(p *pod) (string, string) { return p.own.ID, p.identity() }, "the key has no trust in its issuer that has not ended; an assertion of its own needs the key's id as iss"},
		{"7523-08 a key with a trust only", func(p *pod) (string, string) {
			return p.trusting.ID, p.assertion("iss", p.trusting.ID, "sub", p.trusting.ID)
		},
			"no public key of the key that has not ended has its alg and kid"},
		{"B34 another issuer", func(p *pod) (string, string) { return p.trusting.ID, p.identity("iss", "https://c4n4ry.example") }, "the key has no trust in its issuer that has not ended; an assertion of its own needs the key's id as iss"},
		{"B34 another subject", func(p *pod) (string, string) { return p.trusting.ID, p.identity("sub", "c4n4ry") }, `its claim "sub" differs (trust @)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log strings.Builder
			p := newPod(t, memstore.New(), func(c *apikey.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			tc.reason = strings.Replace(tc.reason, "@", p.trusting.Credentials[0].ID, 1)
			id, text := tc.send(p)
			p.seen = nil
			err := p.authenticate(id, text)
			require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
			if id == "" {
				id = p.own.ID
			}
			require.Equal(t, []observe.Decision{{Time: noon, Use: observe.Login, Reason: "assertion", ClientID: id, Address: addrA}}, p.seen)
			require.Contains(t, log.String(), `level=INFO msg="an assertion was refused" key=`+id+` reason=`+strconv.Quote(tc.reason)+"\n")
			require.NoError(t, p.Flush(t.Context()))
			events := p.events(store.EventQuery{Action: audit.Refuse})
			require.Len(t, events, 1)
			require.Equal(t, "assertion: "+tc.reason, events[0].Note)
			require.Equal(t, id, events[0].Key)
			require.NotContains(t, log.String()+err.Error()+fmt.Sprint(events), "c4n4ry")
		})
	}
	t.Run("once an hour for each key and reason", func(t *testing.T) {
		var log strings.Builder
		p := newPod(t, memstore.New(), func(c *apikey.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		refusals := func() int { return strings.Count(log.String(), "an assertion was refused") }
		for range 3 {
			require.Error(t, p.authenticate("", p.assertion("aud", "x")))
		}
		require.Equal(t, 1, refusals())
		require.Error(t, p.authenticate("", p.assertion("jti", nil)))
		require.Equal(t, 2, refusals(), "another reason")
		require.Error(t, p.authenticate(p.trusting.ID, p.assertion("aud", "x")))
		require.Equal(t, 3, refusals(), "another key")
		p.clock.Advance(time.Hour)
		require.Error(t, p.authenticate("", p.assertion("aud", "x")))
		require.Equal(t, 4, refusals(), "another hour")
		require.Error(t, p.authenticate("nobody", p.identity()))
		require.Error(t, p.authenticate(p.own.ID, "no JWT"))
		require.Equal(t, 4, refusals(), "neither for an unknown key nor for a malformed assertion")
		require.Equal(t, []string{"unknown_or_wrong", "malformed_secret"}, p.reasons()[len(p.reasons())-2:])
	})
}

// TestRefusedAssertionsLookAlike tests B02: neither the response nor its time shows whether
// a key exists, has trusts, or what does not fit.
func TestRefusedAssertionsLookAlike(t *testing.T) {
	for _, tc := range []struct {
		name  string
		send  func(p *pod) (id, assertion string)
		after time.Duration
	}{
		{"B02 an unknown key", func(p *pod) (string, string) { return "nobody", p.identity() }, 25 * time.Millisecond},
		{"B02 an unknown key, its own", func(p *pod) (string, string) { return "", p.assertion("iss", "nobody", "sub", "nobody") }, 25 * time.Millisecond},
		{"B02 a key without trusts", func(p *pod) (string, string) { return p.own.ID, p.identity() }, 25 * time.Millisecond},
		{"B02 a key without public keys", func(p *pod) (string, string) { return "", p.assertion("iss", p.trusting.ID, "sub", p.trusting.ID) }, 25 * time.Millisecond},
		{"B02 a wrong signature", func(p *pod) (string, string) { return p.trusting.ID, p.identity() + "AAAA" }, 25 * time.Millisecond},
		{"B02 a wrong signature, its own", func(p *pod) (string, string) { return "", p.assertion() + "AAAA" }, 25 * time.Millisecond},
		{"B02 claims that do not match", func(p *pod) (string, string) { return p.trusting.ID, p.identity("sub", "x") }, 25 * time.Millisecond},
		{"B02 claims that do not match, its own", func(p *pod) (string, string) { return "", p.assertion("aud", "x") }, 25 * time.Millisecond},
		{"B02 a replay", func(p *pod) (string, string) {
			text := p.assertion()
			require.NoError(t, p.authenticate("", text))
			return "", text
		}, 25 * time.Millisecond},
		{"malformed", func(p *pod) (string, string) { return p.own.ID, "x" }, 0},
		{"an access token", func(p *pod) (string, string) {
			return p.own.ID, p.sign(p.Program, map[string]any{"typ": "at+jwt"}, map[string]any{"iss": p.own.ID, "sub": p.own.ID, "aud": issuer, "exp": 1})
		}, 0},
		{"an identity without a client_id", func(p *pod) (string, string) { return "", p.identity() }, 0},
		{"an id that no key can have", func(p *pod) (string, string) { return "a b", p.identity() }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPod(t, memstore.New(), func(c *apikey.Config) { c.RefuseAfter = 0 })
				id, text := tc.send(p)
				start := time.Now()
				require.ErrorIs(t, p.authenticate(id, text), apikey.ErrInvalidCredentials)
				require.Equal(t, tc.after, time.Since(start))
			})
		})
	}
}

// TestCredentialsAreObserved tests that the Observer sees which credential was right.
func TestCredentialsAreObserved(t *testing.T) {
	p := newPod(t, memstore.New())
	require.NoError(t, p.authenticate("", p.assertion()))
	require.NoError(t, p.authenticate(p.trusting.ID, p.identity()))
	key, secret := p.create(owner, "team-a", "project.list")
	p.mustLogin(key.ID, secret)
	var seen []string
	for _, d := range p.seen {
		seen = append(seen, d.CredentialID)
	}
	require.Equal(t, []string{p.own.Credentials[0].ID, p.trusting.Credentials[0].ID, key.Credentials[0].ID}, seen)
	require.True(t, strings.HasPrefix(seen[1], "cluster."))
}

// TestWhatAnAssertionCosts tests that a refused one costs one read at most and no write.
func TestWhatAnAssertionCosts(t *testing.T) {
	var calls []string
	st := memstore.New()
	all := []string{"Keys.Lookup", "OnceIDs.Spend", "Keys.Update", "Events.Append", "Upkeep.RecordUses"}
	st = harness.Tapped(st, func(_ context.Context, call string) error {
		calls = append(calls, call)
		return nil
	}, all...)
	p := newPod(t, st)
	for _, tc := range []struct {
		name string
		send func() (id, assertion string)
		want []string
	}{
		{"its own", func() (string, string) { return "", p.assertion() }, []string{"Keys.Lookup", "OnceIDs.Spend"}},
		{"an identity", func() (string, string) { return p.trusting.ID, p.identity() }, []string{"Keys.Lookup"}},
		{"refused", func() (string, string) { return "", p.assertion("aud", "x") }, []string{"Keys.Lookup"}},
		{"of an unknown key", func() (string, string) { return "nobody", p.identity() }, []string{"Keys.Lookup"}},
		{"malformed", func() (string, string) { return p.own.ID, "x.y.z" }, nil},
		{"without a client_id", func() (string, string) { return "", p.identity() }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, text := tc.send()
			calls = nil
			_ = p.authenticate(id, text)
			require.Equal(t, tc.want, calls)
		})
	}
}

// TestServiceWithoutAnIssuer tests that a service without Config.Issuer refuses assertions.
func TestServiceWithoutAnIssuer(t *testing.T) {
	st := memstore.New()
	p := newPod(t, st)
	st.OnceIDs = nil
	r := rigOn(t, st, withAssertions(t, p.Program), func(c *apikey.Config) { c.Issuer, c.TokenURL = "", "" })
	_, err := r.Authenticate(t.Context(), apikey.Credentials{ID: p.trusting.ID, Assertion: p.identity()})
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials, "an identity, whatever the list of issuers says")
	for _, aud := range []any{"", issuer, endpoint} {
		_, err := r.Authenticate(t.Context(), apikey.Credentials{Assertion: p.assertion("aud", aud)})
		require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	}
}

// TestPolicyGetsACopyOfTheIdentity tests that what a policy changes of it reaches neither the
// token nor the next request.
func TestPolicyGetsACopyOfTheIdentity(t *testing.T) {
	var claims []any
	p := newPod(t, memstore.New(), func(c *apikey.Config) {
		c.TokenLifetime = time.Hour
		c.Policy = policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
			claims = append(claims, r.Identity.Claims["sub"])
			r.Identity.Expires, r.Identity.Claims["sub"] = r.Identity.Expires.Add(time.Hour), "another"
			return nil
		})
	})
	proof, err := p.Authenticate(t.Context(), apikey.Credentials{ID: p.trusting.ID, Assertion: p.identity()})
	require.NoError(t, err)
	for range 2 {
		grant, err := p.Issue(t.Context(), proof, apikey.Request{})
		require.NoError(t, err)
		require.Equal(t, noon.Add(600*time.Second), grant.Expires)
	}
	require.Equal(t, []any{"deployer", "deployer"}, claims)
}
