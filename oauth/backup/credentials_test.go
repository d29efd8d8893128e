package backup_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

const (
	here = "https://api.example.com"
	ci   = "https://ci.example.com"
)

// pair returns a public key as a JWK in the form that is stored, and its private half.
func pair(kid string) (jwk string, private ed25519.PrivateKey) {
	private = ed25519.NewKeyFromSeed([]byte(strings.Repeat(kid, 32)[:32]))
	public := base64.RawURLEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	return `{"alg":"EdDSA","crv":"Ed25519","kid":"` + kid + `","kty":"OKP","use":"sig","x":"` + public + `"}`, private
}

// trusting is portable, with an issuer that keys can trust.
func trusting(c *apikey.Config) {
	portable(c)
	jwk, _ := pair("ci")
	c.Issuer = here
	c.TrustedIssuers = must(trust.New([]trust.Issuer{{
		Name: "ci", Issuer: ci, JWKS: []byte(`{"keys":[` + jwk + `]}`), Algorithms: []string{"EdDSA"}, Claims: []trust.Claim{{Name: "project"}, {Name: "ref"}},
	}}, trust.Config{Audience: here, Now: c.Now}))
}

// assert logs in with a JWT that the private half of pair(kid) signs.
func (r *rig) assert(id, kid string, claims jwt.MapClaims) error {
	r.t.Helper()
	_, private := pair(kid)
	now := r.clock.Now()
	claims["aud"], claims["iat"], claims["exp"] = here, now.Unix(), now.Add(time.Minute).Unix()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"] = kid
	_, err := r.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Assertion: must(token.SignedString(private))})
	return err
}

func TestPublicKeysAndTrusts(t *testing.T) {
	r := newRig(t, trusting)
	key, _ := r.create(owner, "team-a", "project.list")
	jwk, _ := pair("laptop")
	for _, spec := range []apikey.CredentialSpec{
		{Name: "laptop <1>", PublicKey: &store.PublicKey{JWK: jwk, EndpointAudience: true}, NotAfter: noon.AddDate(0, 1, 0)},
		{Name: "CI", Trust: &store.Trust{Issuer: "ci", Claims: []store.Claim{{Name: "project", Value: "7"}, {Name: "ref", Value: "main"}}}},
	} {
		_, err := r.AddCredential(t.Context(), owner, key.ID, spec)
		require.NoError(t, err)
	}
	own := func(r *rig, jti string) error {
		return r.assert(key.ID, "laptop", jwt.MapClaims{"iss": key.ID, "sub": key.ID, "jti": jti})
	}
	identity := func(r *rig) error {
		return r.assert(key.ID, "ci", jwt.MapClaims{"iss": ci, "sub": "job", "project": "7", "ref": "main"})
	}
	require.NoError(t, own(r, "1"))
	require.NoError(t, identity(r))
	lines := r.export()

	t.Run("the line", func(t *testing.T) {
		var line struct {
			Key struct{ Credentials []map[string]any }
		}
		require.NoError(t, json.Unmarshal([]byte(lines), &line))
		require.Len(t, line.Key.Credentials, 3)
		public, trusted := line.Key.Credentials[1], line.Key.Credentials[2]
		require.Equal(t, "laptop <1>", public["name"])
		require.Equal(t, "2026-08-01T12:00:00Z", public["not_after"])
		require.Equal(t, true, public["public_key"].(map[string]any)["endpoint_audience"])
		require.Equal(t, jwk, public["public_key"].(map[string]any)["jwk"])
		require.Equal(t, map[string]any{"issuer": "ci", "claims": []any{map[string]any{"name": "project", "value": "7"}, map[string]any{"name": "ref", "value": "main"}}}, trusted["trust"])
		for _, one := range []map[string]any{public, trusted} {
			for _, member := range []string{"digest", "hint", "prefix", "generated"} {
				require.NotContains(t, one, member)
			}
		}
		require.NotContains(t, line.Key.Credentials[0], "name")
	})
	t.Run("restored", func(t *testing.T) {
		there := newRig(t, trusting)
		there.restore(lines)
		require.Equal(t, lines, there.export(), "nothing is lost")
		require.NoError(t, own(there, "2"))
		require.NoError(t, identity(there))
	})
	t.Run("B34 restored where the issuer is not listed", func(t *testing.T) {
		there := newRig(t, portable, func(c *apikey.Config) { c.Issuer = here })
		there.restore(lines)
		require.Equal(t, lines, there.export(), "nothing is lost")
		require.NoError(t, own(there, "2"))
		require.ErrorIs(t, identity(there), apikey.ErrInvalidCredentials)
	})
	t.Run("not restored where another key has the id", func(t *testing.T) {
		there := newRig(t, trusting)
		other := strings.Replace(lines, `"id":"`+key.ID+`"`, `"id":"other"`, 1)
		there.restore(other)
		done, err := there.read(lines)
		require.NoError(t, err)
		require.ErrorIs(t, done.Problems[0].Err, store.ErrCredentialExists)
	})
}

// Lines about public keys and trusts are as strict as all others.
func TestRestoreMalformedCredentials(t *testing.T) {
	jwk, _ := pair("laptop")
	const made = `,"created":"2026-07-01T10:00:00Z"}`
	public := func(members string) string { return `{"id":"p1","name":"laptop","public_key":` + members + made }
	trusted := func(members string) string { return `{"id":"ci.t1","name":"CI","trust":` + members + made }
	text := string(must(json.Marshal(jwk)))
	both := `{"id":"ci.p1","name":"laptop","public_key":{"jwk":` + text + `},"trust":{"issuer":"ci","claims":[{"name":"ref","value":"main"}]}` + made
	for _, tc := range []struct{ name, credential, says string }{
		{"a public key", public(`{"jwk":` + text + `}`), ""},
		{"a trust", trusted(`{"issuer":"ci","claims":[{"name":"ref","value":"main"}]}`), ""},
		{"a public key without a JWK", public(`{"endpoint_audience":true}`), `"jwk": is missing`},
		{"a JWK that is no text", public(`{"jwk":` + jwk + `}`), "wrong type"},
		{"a JWK that is null", public(`{"jwk":null}`), "public_keys"},
		{"7523 a private key", public(`{"jwk":` + strings.Replace(text, `\"x\":`, `\"d\":\"AAAA\",\"x\":`, 1) + `}`), "public_keys"},
		{"a switch twice", public(`{"jwk":` + text + `,"long_assertions":true,"long_assertions":false}`), "appears twice"},
		{"an unknown member of a public key", public(`{"jwk":` + text + `,"x":1}`), `"x": unknown member`},
		{"a trust without an issuer", trusted(`{"claims":[]}`), `"issuer": is missing`},
		{"a trust without claims", trusted(`{"issuer":"ci"}`), `"claims": is missing`},
		{"claims that are null", trusted(`{"issuer":"ci","claims":null}`), "trusts"},
		{"claims as an object", trusted(`{"issuer":"ci","claims":{"name":"ref","value":"main"}}`), "wrong type"},
		{"a claim without a value", trusted(`{"issuer":"ci","claims":[{"name":"ref"}]}`), `"value": is missing`},
		{"an unknown member of a claim", trusted(`{"issuer":"ci","claims":[{"name":"ref","value":"main","path":[]}]}`), `"path": unknown member`},
		{"both kinds", both, "either a secret, a public key or a trust"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			line := aLine("k")
			at := strings.Index(line, `],"not_after"`)
			r := newRig(t, trusting)
			done, err := r.read(line[:at] + "," + tc.credential + line[at:])
			require.NoError(t, err)
			if tc.says == "" {
				require.Equal(t, backup.Restored{Keys: 1}, done)
				return
			}
			require.Len(t, done.Problems, 1)
			require.ErrorContains(t, done.Problems[0].Err, tc.says)
			require.Zero(t, done.Keys)
		})
	}
}
