package apikey_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const serverIssuer = "https://auth.example.com"

// trusting lets keys trust GitHub Actions.
func trusting(c *apikey.Config) {
	list, err := trust.New([]trust.Issuer{trust.GitHubActions()}, trust.Config{Audience: serverIssuer})
	if err != nil {
		panic(err)
	}
	c.Issuer, c.TrustedIssuers = serverIssuer, list
}

// jwkOf returns a new public key for EdDSA with further members, and its private half.
func jwkOf(members map[string]any) (string, ed25519.PrivateKey) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	all := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	maps.Copy(all, members)
	return jsonOf(all), private
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// aPublicKey returns a new public key whose kid is the name.
func aPublicKey(name string) apikey.CredentialSpec {
	spec, _ := withPrivate(name)
	return spec
}

func withPrivate(name string) (apikey.CredentialSpec, ed25519.PrivateKey) {
	jwk, private := jwkOf(map[string]any{"kid": name})
	return apikey.CredentialSpec{Name: name, PublicKey: &store.PublicKey{JWK: jwk}}, private
}

func aTrust(name string, claims ...string) apikey.CredentialSpec {
	t := &store.Trust{Issuer: "github"}
	for pair := range slices.Chunk(claims, 2) {
		t.Claims = append(t.Claims, store.Claim{Name: pair[0], Value: pair[1]})
	}
	return apikey.CredentialSpec{Name: name, Trust: t}
}

// add adds a credential that can be added.
func (r *rig) add(actor apikey.Actor, id string, spec apikey.CredentialSpec) apikey.Key {
	r.t.Helper()
	key, err := r.AddCredential(context.Background(), actor, id, spec)
	require.NoError(r.t, err)
	return key
}

// assertion returns what a program logs in with that has this private key.
func (r *rig) assertion(id string, private crypto.Signer) apikey.Credentials {
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": id, "sub": id, "aud": serverIssuer, "exp": r.clock.Now().Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	text, err := token.SignedString(private)
	require.NoError(r.t, err)
	return apikey.Credentials{ID: id, Assertion: text, Address: addrA}
}

// assert logs in with an assertion.
func (r *rig) assert(id string, private crypto.Signer) (*apikey.Grant, error) {
	grant, err := r.logIn(r.assertion(id, private), apikey.Request{})
	return grant, r.note(err)
}

func last(k apikey.Key) store.Credential { return k.Credentials[len(k.Credentials)-1] }

func rsaJWK(bits uint, members map[string]any) string {
	n := new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1)
	all := map[string]any{"kty": "RSA", "n": b64(n.Bytes()), "e": "AQAB"}
	maps.Copy(all, members)
	return jsonOf(all)
}

// TestAddPublicKey tests what is stored of a public key.
func TestAddPublicKey(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := ec.PublicKey.Bytes()
	require.NoError(t, err)
	es256 := jsonOf(map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "x5t": "AAAA", "key_ops": []string{"verify"}})
	eddsa, _ := jwkOf(map[string]any{"kid": "a b", "use": "sig", "x5c": []string{"dropped"}})
	for name, tc := range map[string]struct{ jwk, alg, kid string }{
		"EdDSA":                   {eddsa, "EdDSA", "a b"},
		"ES256":                   {es256, "ES256", ""},
		"RS256":                   {rsaJWK(2048, nil), "RS256", ""},
		"PS256":                   {rsaJWK(2048, map[string]any{"alg": "PS256", "kid": "1"}), "PS256", "1"},
		"an RSA key of 4096 bits": {rsaJWK(4096, map[string]any{"kid": "1"}), "RS256", "1"},
	} {
		t.Run("9700-03 "+name, func(t *testing.T) {
			r := newRig(t)
			key, _ := r.create(owner, "team-a", "project.list")
			r.clock.Advance(time.Hour)
			given := &store.PublicKey{JWK: tc.jwk, EndpointAudience: true}
			added := r.add(owner, key.ID, apikey.CredentialSpec{Name: "laptop", PublicKey: given, NotAfter: noon.AddDate(1, 0, 0)})
			require.Len(t, added.Credentials, 2)
			got := last(added)
			require.Equal(t, store.Credential{
				ID: got.ID, Name: "laptop", CreatedBy: owner.Ref(), Created: noon.Add(time.Hour), NotAfter: noon.AddDate(1, 0, 0),
				PublicKey: &store.PublicKey{JWK: got.PublicKey.JWK, EndpointAudience: true},
			}, got)
			require.False(t, got.IsSecret())
			require.NotContains(t, got.ID, ".", "only the id of a trust has one")
			var members map[string]string
			require.NoError(t, json.Unmarshal([]byte(got.PublicKey.JWK), &members))
			require.Equal(t, tc.alg, members["alg"])
			require.NotEmpty(t, members["kid"])
			if tc.kid != "" {
				require.Equal(t, tc.kid, members["kid"])
			}
			for _, dropped := range []string{"x5c", "x5t", "key_ops", "d"} {
				require.NotContains(t, members, dropped)
			}
			_, again, err := jose.ParsePublicKey([]byte(got.PublicKey.JWK))
			require.NoError(t, err)
			require.Equal(t, got.PublicKey.JWK, string(again), "it is canonical")
			require.Equal(t, tc.jwk, given.JWK, "what the caller gave is not changed")
			event := r.events(store.EventQuery{Action: audit.AddCredential})[0]
			require.Equal(t, []store.FieldChange{{Field: "public_keys", New: fmt.Sprintf("%s \"laptop\" until 2027-07-01T12:00:00Z kid %q endpoint_audience true long_assertions false", got.ID, members["kid"])}}, event.Changes)
		})
	}
}

// TestAddTrust tests what is stored of a trust.
func TestAddTrust(t *testing.T) {
	r := newRig(t, trusting)
	key, _ := r.create(owner, "team-a", "project.list")
	spec := aTrust("deploy", "repository_id", "7", "environment", "prod")
	got := last(r.add(owner, key.ID, spec))
	require.True(t, strings.HasPrefix(got.ID, "github."), "the token's credential names the issuer")
	require.Equal(t, []store.Claim{{Name: "environment", Value: "prod"}, {Name: "repository_id", Value: "7"}}, got.Trust.Claims)
	require.Equal(t, "repository_id", spec.Trust.Claims[0].Name, "what the caller gave is not changed")
	event := r.events(store.EventQuery{Action: audit.AddCredential})[0]
	require.Equal(t, []store.FieldChange{{Field: "trusts", New: got.ID + ` "deploy" issuer github "environment"="prod" "repository_id"="7"`}}, event.Changes)
	require.Len(t, r.TrustedIssuers(), 1)

	t.Run("nobody shares the memory of what was given, shown and stored", func(t *testing.T) {
		spec.Trust.Claims[0].Value = "8"
		got.Trust.Claims[0].Value, got.Trust.Issuer = "test", "evil"
		now, err := r.Get(t.Context(), owner, key.ID)
		require.NoError(t, err)
		require.Equal(t, store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "environment", Value: "prod"}, {Name: "repository_id", Value: "7"}}}, *last(now).Trust)
	})
}

// TestAddCredentialRefuses tests the refusals that name a field.
func TestAddCredentialRefuses(t *testing.T) {
	good := aPublicKey("laptop")
	jwk := func(text string) apikey.CredentialSpec {
		return apikey.CredentialSpec{Name: "laptop", PublicKey: &store.PublicKey{JWK: text}}
	}
	members := func(change map[string]any) apikey.CredentialSpec {
		text, _ := jwkOf(change)
		return jwk(text)
	}
	with := func(change func(*apikey.CredentialSpec)) apikey.CredentialSpec {
		spec := good
		change(&spec)
		return spec
	}
	planted := b64([]byte("a canary of thirty-two bytes, ok"))
	pem := "-----BEGIN PRIVATE KEY-----\n" + planted + "\n-----END PRIVATE KEY-----"
	for _, tc := range []struct {
		name, field string
		spec        apikey.CredentialSpec
	}{
		{"no name", "name", with(func(s *apikey.CredentialSpec) { s.Name = " " })},
		{"B15 a line break in the name", "name", with(func(s *apikey.CredentialSpec) { s.Name = "a\nb" })},
		{"neither kind", "public_key", apikey.CredentialSpec{Name: "x"}},
		{"both kinds", "public_key", with(func(s *apikey.CredentialSpec) {
			s.Trust = aTrust("x", "repository_id", "7", "ref", "refs/heads/main").Trust
		})},
		{"an end in the past", "expires_at", with(func(s *apikey.CredentialSpec) { s.NotAfter = noon })},
		{"an end after the year 9999", "expires_at", with(func(s *apikey.CredentialSpec) { s.NotAfter = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		{"a negative grace", "grace", with(func(s *apikey.CredentialSpec) { s.Grace = -1 })},
		{"a grace of more than a year", "grace", with(func(s *apikey.CredentialSpec) { s.Grace = 366*24*time.Hour + 1 })},
		{"long assertions that the host does not allow", "long_assertions", with(func(s *apikey.CredentialSpec) {
			s.PublicKey = &store.PublicKey{JWK: good.PublicKey.JWK, LongAssertions: true}
		})},
		{"no JWK", "public_key", jwk("")},
		{"a PEM", "public_key", jwk(pem)},
		{"two JWKs", "public_key", jwk(good.PublicKey.JWK + good.PublicKey.JWK)},
		{"a member twice", "public_key", jwk(`{"kty":"OKP",` + good.PublicKey.JWK[1:])},
		{"a JWK of more than 4 KiB", "public_key", members(map[string]any{"x5c": strings.Repeat("x", 4096)})},
		{"B15 a kid that cannot be printed", "public_key", members(map[string]any{"kid": "a\nb"})},
		{"a kid that is too long", "public_key", members(map[string]any{"kid": strings.Repeat("x", 256)})},
		{"7523-07 a key for encryption", "public_key", members(map[string]any{"use": "enc"})},
		{"7523-07 another algorithm", "public_key", members(map[string]any{"alg": "ES384"})},
		{"7523-07 an algorithm of another kind of key", "public_key", members(map[string]any{"alg": "ES256"})},
		{"7523-07 a key of HS256", "public_key", jwk(`{"kty":"oct","k":"` + planted + `","kid":"1"}`)},
		{"7523-07 RSA of 2047 bits", "public_key", jwk(rsaJWK(2047, nil))},
		{"7523-07 RSA of 4097 bits", "public_key", jwk(rsaJWK(4097, nil))},
		{"7523-07 a point off the curve", "public_key", jwk(`{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`)},
		{"an issuer that is not listed", "issuer", apikey.CredentialSpec{Name: "x", Trust: &store.Trust{Issuer: "gitlab", Claims: []store.Claim{{Name: "project_id", Value: "7"}}}}},
		{"B34 no immutable id of a shared issuer", "claims", aTrust("x", "repository", "acme/app", "environment", "prod")},
		{"to replace what is not there", "replaces", with(func(s *apikey.CredentialSpec) { s.Replaces = "nothing" })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, trusting)
			r.keep(planted)
			key, _ := r.create(owner, "team-a", "project.list")
			_, err := r.AddCredential(t.Context(), owner, key.ID, tc.spec)
			requireField(t, r.note(err), tc.field)
			require.Len(t, r.events(store.EventQuery{}), 1)
			if tc.field == "replaces" {
				return
			}
			_, _, err = r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{aPublicKey("first"), tc.spec} })
			list := "public_keys[1]."
			if tc.spec.Trust != nil {
				list = "trusts[0]."
			}
			requireField(t, err, list+tc.field)
		})
	}
	t.Run("a trust where no issuer is trusted", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		_, err := r.AddCredential(t.Context(), owner, key.ID, aTrust("x", "repository_id", "7"))
		requireField(t, r.note(err), "issuer")
	})
	t.Run("long assertions that the host allows", func(t *testing.T) {
		r := newRig(t, func(c *apikey.Config) { c.LongAssertions = true })
		key, _ := r.create(owner, "team-a", "")
		added := r.add(owner, key.ID, with(func(s *apikey.CredentialSpec) {
			s.PublicKey = &store.PublicKey{JWK: good.PublicKey.JWK, LongAssertions: true}
		}))
		require.True(t, last(added).PublicKey.LongAssertions)
	})
}

func requireField(t *testing.T, err error, field string) {
	t.Helper()
	var invalid *apikey.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, field, invalid.Problems[0].Field, "%v", err)
}

// TestPrivateKeysAreRefused tests that a private key that was given in place of the
// public one shows nowhere.
func TestPrivateKeysAreRefused(t *testing.T) {
	rsa := harness.RSAKey()
	whole := map[string]any{"n": b64(rsa.N.Bytes()), "d": b64(rsa.D.Bytes()), "p": b64(rsa.Primes[0].Bytes()), "q": b64(rsa.Primes[1].Bytes()), "dp": b64(rsa.Precomputed.Dp.Bytes()), "dq": b64(rsa.Precomputed.Dq.Bytes()), "qi": b64(rsa.Precomputed.Qinv.Bytes())}
	jwks := map[string]string{"RSA": rsaJWK(2048, whole), "PS256": rsaJWK(2048, map[string]any{"d": whole["d"], "alg": "PS256"})}
	secret := b64([]byte("a canary of thirty-two bytes, ok"))
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
		jwks[member], _ = jwkOf(map[string]any{member: secret, "kid": "1"})
	}
	jwks["oth"], _ = jwkOf(map[string]any{"oth": []any{map[string]any{"d": secret}}})
	jwks["d that is no text"], _ = jwkOf(map[string]any{"d": []string{secret}})
	jwks["for encryption"], _ = jwkOf(map[string]any{"d": secret, "use": "enc"})
	for name, jwk := range jwks {
		t.Run("B11 "+name, func(t *testing.T) {
			r := newRig(t)
			r.keep(secret, whole["d"].(string), whole["p"].(string))
			key, _ := r.create(owner, "team-a", "")
			spec := apikey.CredentialSpec{Name: "laptop", PublicKey: &store.PublicKey{JWK: jwk}}
			_, err := r.AddCredential(t.Context(), owner, key.ID, spec)
			requireField(t, r.note(err), "public_key")
			_, _, err = r.tryCreate(owner, "team-a", "", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{spec} })
			requireField(t, err, "public_keys[0].public_key")
			require.ErrorContains(t, err, "private member")
			require.Len(t, r.records(), 1)
		})
	}
}

// FuzzAddCredential tests that a JWK is either refused, or stored without private members
// and in a form that a restore accepts.
func FuzzAddCredential(f *testing.F) {
	eddsa, _ := jwkOf(map[string]any{"kid": "1", "use": "sig"})
	private, _ := jwkOf(map[string]any{"d": "AAAA"})
	for _, seed := range []string{eddsa, private, rsaJWK(2048, nil), `{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, "{}", ""} {
		f.Add(seed, "laptop")
	}
	f.Fuzz(func(t *testing.T, jwk, name string) {
		r := newRig(t)
		key, _ := r.create(owner, "team-a", "")
		added, err := r.AddCredential(t.Context(), owner, key.ID, apikey.CredentialSpec{Name: name, PublicKey: &store.PublicKey{JWK: jwk}})
		if err != nil {
			require.ErrorAs(t, err, new(*apikey.InvalidError))
			return
		}
		var members map[string]string
		require.NoError(t, json.Unmarshal([]byte(last(added).PublicKey.JWK), &members))
		for name := range members {
			require.Contains(t, []string{"alg", "crv", "e", "kid", "kty", "n", "use", "x", "y"}, name)
		}
		rigOn(t, memstore.New()).restore(r.records()...)
		for _, e := range r.events(store.EventQuery{}) {
			require.NoError(t, rigOn(t, memstore.New()).RestoreEvent(t.Context(), admin, e))
		}
	})
}
