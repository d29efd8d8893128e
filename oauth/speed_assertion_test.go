package oauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionPair is Latchkey and the floor, with one key each, which logs in with
// assertions.
type assertionPair struct {
	ours  http.Handler
	floor *leastAssertion
	sign  func() *call // a login with a new assertion
}

// newAssertionPair makes a pair whose key has the credential. The assertion is what sign
// returns for the key's id.
func newAssertionPair(t testing.TB, issuers []trust.Issuer, credential apikey.CredentialSpec, public crypto.PublicKey, sign func(id string) string) *assertionPair {
	t.Helper()
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: pairIssuer, Permissions: catalog, Logger: quiet, LoginTimeout: time.Minute, TrustedIssuers: issuers,
		Signers: []oauth.SigningKey{{ID: "2026-03", Key: signing}},
		APIKeys: apikey.Options{Peppers: []apikey.Pepper{harness.Pepper()}},
	})
	require.NoError(t, err)
	key, _, err := srv.APIKeys().Create(context.Background(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list project.read"),
		NoSecret: true, Credentials: []apikey.CredentialSpec{credential},
	})
	require.NoError(t, err)
	p := &assertionPair{ours: srv.Token()}
	p.sign = func() *call {
		return newCall(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {key.ID},
			"client_assertion_type": {assertionType}, "client_assertion": {sign(key.ID)},
		}.Encode())
	}
	c := p.sign()
	require.NoError(t, c.to(srv.Token()))
	claims := harness.Claims(t, answer{Body: string(c.reply)}.Token())
	epochs, _ := claims["epochs"].([]any)
	p.floor = &leastAssertion{
		floor: newFloor("ES256", "2026-03", signing, rand.Reader, nil,
			`{"iss":"`+pairIssuer+`","sub":"`+key.ID+`","aud":"`+pairIssuer+`","client_id":"`+key.ID+`","scope":"project.list project.read",`,
			`","workspace":"team-a","credential_id":"`+key.Credentials[0].ID+`","epochs":[`+fmt.Sprintf("%.0f,%.0f,%.0f", epochs...)+`]}`,
			"project.list project.read", key.ID, ""),
		id: key.ID, public: public, spent: make(map[string]int64),
	}
	size, c := len(c.reply), p.sign()
	require.NoError(t, c.to(p.floor))
	require.InDelta(t, size, len(c.reply), 4, "the floor answers less or more: %s", c.reply)
	return p
}

// leastAssertion is a login with an assertion and the least possible work: one key, which
// is parsed already, the standard library, and the claims that must be checked.
type leastAssertion struct {
	*floor
	id     string
	public crypto.PublicKey // an *ecdsa.PublicKey for assertions of its own, an *rsa.PublicKey for a trust
	mu     sync.Mutex
	spent  map[string]int64
}

func (f *leastAssertion) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	work, _ := f.works.Get().(*floorWork)
	defer f.works.Put(work)
	var grant, id, kind, assertion []byte
	for rest, more := work.read(r.Body), true; more; {
		var pair []byte
		pair, rest, more = cutByte(rest, '&')
		name, value, _ := cutByte(pair, '=')
		switch string(name) {
		case "grant_type":
			grant = value
		case "client_id":
			id = value
		case "client_assertion_type":
			kind = value
		case "client_assertion":
			assertion = value
		}
	}
	if string(grant) != "client_credentials" || string(id) != f.id || len(kind) == 0 || !f.verify(assertion) {
		http.Error(w, "refused", http.StatusUnauthorized)
		return
	}
	f.grant(w, work)
}

func (f *leastAssertion) verify(assertion []byte) bool {
	head, rest, _ := cutByte(assertion, '.')
	body, signature, _ := cutByte(rest, '.')
	raw := make([]byte, 0, 512)
	raw, err := base64.RawURLEncoding.AppendDecode(raw, signature)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(assertion[:len(head)+1+len(body)])
	public, own := f.public.(*ecdsa.PublicKey)
	if own {
		if len(raw) != 64 || !ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
			return false
		}
	} else if other, _ := f.public.(*rsa.PublicKey); rsa.VerifyPKCS1v15(other, crypto.SHA256, digest[:], raw) != nil {
		return false
	}
	text, err := base64.RawURLEncoding.AppendDecode(make([]byte, 0, 4096), body)
	var claims struct {
		Issuer      string `json:"iss"`
		Subject     string `json:"sub"`
		Audience    string `json:"aud"`
		Expires     int64  `json:"exp"`
		IssuedAt    int64  `json:"iat"`
		ID          string `json:"jti"`
		Repository  string `json:"repository_id"`
		Environment string `json:"environment"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return false
	}
	now := time.Now().Unix()
	if claims.Audience != pairIssuer || claims.Expires <= now || claims.IssuedAt > now+30 || claims.Expires-claims.IssuedAt > 300 {
		return false
	}
	if !own {
		return claims.Repository == "74" && claims.Environment == "production"
	}
	if claims.Issuer != f.id || claims.Subject != f.id {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, known := f.spent[claims.ID]
	f.spent[claims.ID] = claims.Expires
	return !known
}

// ownPair logs in with assertions that the key signs itself, by ES256. Each is new.
func ownPair(t testing.TB) *assertionPair {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	set, err := jose.MarshalKeySet([]jose.PublicKey{{ID: "own", Algorithm: jose.ES256, Key: private.Public()}})
	require.NoError(t, err)
	jwk := strings.TrimSuffix(strings.TrimPrefix(string(set), `{"keys":[`), `]}`)
	return newAssertionPair(t, nil, apikey.CredentialSpec{Name: "own", PublicKey: &store.PublicKey{JWK: jwk}}, private.Public(),
		func(id string) string {
			now := time.Now().Unix()
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"own","typ":"JWT"}`))
			signed := head + "." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil,
				`{"iss":%q,"sub":%q,"aud":%q,"iat":%d,"exp":%d,"jti":%q}`, id, id, pairIssuer, now, now+60, rand.Text()))
			digest := sha256.Sum256([]byte(signed))
			r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
			require.NoError(t, err)
			var signature [64]byte
			r.FillBytes(signature[:32])
			s.FillBytes(signature[32:])
			return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
		})
}

// trustPair logs in with the identity of a GitHub workflow, signed by RS256.
func trustPair(t testing.TB) *assertionPair {
	t.Helper()
	issuer := oauthtest.NewIssuer(t)
	issuer.Clock.Set(time.Now())
	entry := issuer.Entry(trust.GitHubActions())
	entry.JWKS = issuer.JWKS()
	keys, err := jose.ParseKeySet(entry.JWKS)
	require.NoError(t, err)
	identity := issuer.Sign(t, issuer.GitHubActions(pairIssuer))
	return newAssertionPair(t, []trust.Issuer{entry}, apikey.CredentialSpec{Name: "github", Trust: &store.Trust{
		Issuer: entry.Name, Claims: []store.Claim{{Name: "repository_id", Value: "74"}, {Name: "environment", Value: "production"}},
	}}, keys[0].Key, func(string) string { return identity })
}

// BenchmarkFloorAssertion is a login with an assertion. The floor verifies it with a
// parsed key and signs the token.
func BenchmarkFloorAssertion(b *testing.B) {
	b.Run("own", func(b *testing.B) { duelOnce(b, ownPair(b)) })
	b.Run("trust", func(b *testing.B) { duelOnce(b, trustPair(b)) })
}

// duelOnce is duel for logins of which each can be sent to a side only once. They are
// made between the turns.
func duelOnce(b *testing.B, p *assertionPair) {
	b.Helper()
	var logins [512]*call
	best := [2]time.Duration{time.Hour, time.Hour}
	cpu := best
	for b.Loop() {
		for i := range logins {
			logins[i] = p.sign()
		}
		for side, handler := range []http.Handler{p.ours, p.floor} {
			begin, used := time.Now(), processorTime()
			for _, login := range logins {
				if err := login.to(handler); err != nil {
					b.Fatal(err)
				}
			}
			best[side] = min(best[side], time.Since(begin)/time.Duration(len(logins)))
			cpu[side] = min(cpu[side], (processorTime()-used)/time.Duration(len(logins)))
		}
	}
	reportDuel(b, best, cpu)
	next := p.sign
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = next().to(p.ours) })-testing.AllocsPerRun(200, func() { next() }), "allocs")
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = next().to(p.floor) })-testing.AllocsPerRun(200, func() { next() }), "floor-allocs")
}

// BenchmarkAssertion is one side alone, for profiles.
func BenchmarkAssertion(b *testing.B) {
	for name, pair := range map[string]func(testing.TB) *assertionPair{"own": ownPair, "trust": trustPair} {
		for _, side := range []string{"ours", "floor"} {
			b.Run(name+"/"+side, func(b *testing.B) {
				p := pair(b)
				handler := map[string]http.Handler{"ours": p.ours, "floor": p.floor}[side]
				logins := make([]*call, b.N)
				for i := range logins {
					logins[i] = p.sign()
				}
				b.ReportAllocs()
				b.ResetTimer()
				for _, login := range logins {
					if err := login.to(handler); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
