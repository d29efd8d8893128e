package admin_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/trust"
)

// The key of RFC 7515, appendix A.3, and its private member.
const (
	ecKey     = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	ecPrivate = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
)

// otherKey returns the JWK of another key for each n.
// otherKey returns the JWK of a key that depends on n; zero bytes alone are no key.
func otherKey(n byte) string {
	return `{"kty":"OKP","crv":"Ed25519","x":"` + base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{n + 1}, 32)) + `"}`
}

// withMember returns a JSON object with one more member.
func withMember(object, member string) string {
	return strings.TrimSuffix(object, "}") + "," + member + "}"
}

// TestPublicKeys adds, replaces and retires public keys.
func TestPublicKeys(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	path := "/keys/" + m.Key.ID
	r.clock.Advance(time.Minute)
	body := `{"name":"deploy","public_key":` + withMember(ecKey, `"kid":"one","key_ops":["verify"],"x5t":"x"`) + `,"endpoint_audience":true,"expires_at":"2027-01-31"}`
	added := r.do("max", "POST", path+"/public_keys", body, "If-Match", `"1"`).Wants(http.StatusCreated)
	require.Equal(t, `"2"`, added.Header.Get("ETag"))
	var k key
	added.Into(&k)
	require.Equal(t, r.read("olga", m.Key.ID), k)
	require.Equal(t, m.Key.Secrets, k.Secrets, "a secret is not a public key")
	require.Empty(t, k.Trusts)
	require.Len(t, k.PublicKeys, 1)
	got := k.PublicKeys[0]
	end := time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, credential{
		ID: got.ID, Name: "deploy", KeyID: "one", Algorithm: "ES256", EndpointAudience: true, CreatedBy: got.CreatedBy,
		CreatedAt: noon.Add(time.Minute), ExpiresAt: &end, PublicKey: map[string]string{
			"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig",
			"x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
		},
	}, got)
	require.Equal(t, "max", got.CreatedBy.ID)

	t.Run("replaced with a grace", func(t *testing.T) {
		r := r.at(t)
		var k key
		r.do("olga", "POST", path+"/public_keys", `{"name":"second","public_key":`+otherKey(2)+`,"replaces":"`+got.ID+`","grace":60}`).Wants(http.StatusCreated).Into(&k)
		require.Len(t, k.PublicKeys, 2)
		require.Equal(t, noon.Add(2*time.Minute), *k.PublicKeys[0].ExpiresAt)
		require.Equal(t, "second", k.PublicKeys[1].Name)
		require.NotEmpty(t, k.PublicKeys[1].KeyID, "RFC 7638: the thumbprint")
		require.Nil(t, k.PublicKeys[1].ExpiresAt)
	})
	t.Run("retired", func(t *testing.T) {
		r := r.at(t)
		var k key
		r.do("olga", "DELETE", path+"/credentials/"+got.ID, "").Wants(http.StatusOK).Into(&k)
		require.Len(t, k.PublicKeys, 1)
		require.Len(t, k.Secrets, 1)
		r.do("olga", "DELETE", path+"/credentials/"+got.ID, "").problem(http.StatusNotFound, admin.CodeNotFound)
	})
	t.Run("in the audit log", func(t *testing.T) {
		for _, action := range []string{"key.create", "key.add_credential", "key.rotate", "key.retire_credential"} {
			body := r.at(t).do("olga", "GET", "/workspaces/team-a/events?key="+m.Key.ID+"&action="+action, "").Wants(http.StatusOK).Body
			require.Equal(t, 1, strings.Count(body, `"action":"`+action+`"`), body)
		}
	})
	t.Run("a key replaces a public key of its own", func(t *testing.T) {
		r := r.at(t)
		own := r.createWith("ada", "team-a", `{"name":"robot","permissions":["keys.rotate"],"secret":false,"public_keys":[{"name":"a","public_key":`+ecKey+`}]}`).Key
		var k key
		r.do("", "POST", "/keys/"+own.ID+"/public_keys", `{"name":"b","public_key":`+otherKey(2)+`,"replaces":"`+own.PublicKeys[0].ID+`","grace":0}`,
			"X-Key", own.ID, "X-Scope", "keys.rotate", "X-Credential", own.PublicKeys[0].ID).Wants(http.StatusCreated).Into(&k)
		require.Len(t, k.PublicKeys, 1)
		require.Equal(t, "b", k.PublicKeys[0].Name)
	})
	t.Run("B23 a retry adds nothing", func(t *testing.T) {
		r := r.at(t)
		add := func(body string) *reply {
			return r.do("olga", "POST", path+"/public_keys", body, "Idempotency-Key", "one")
		}
		third := `{"name":"third","public_key":` + otherKey(3) + `}`
		add(third).Wants(http.StatusCreated)
		before := r.snapshot("team-a")
		require.Equal(t, m.Key.ID, add(third).problem(http.StatusConflict, admin.CodeAlreadyDone).Key)
		add(`{"name":"fourth","public_key":`+otherKey(3)+`}`).problem(http.StatusUnprocessableEntity, admin.CodeIdempotencyMismatch)
		require.Equal(t, before, r.snapshot("team-a"))
	})
}

// TestKeysWithoutSecrets creates keys whose programs log in with public keys.
func TestKeysWithoutSecrets(t *testing.T) {
	r := newRig(t)
	answer := r.do("olga", "POST", createA, `{"name":"ci","permissions":[],"secret":false,"public_keys":[{"name":"a","public_key":`+ecKey+`},{"name":"b","public_key":`+otherKey(2)+`}]}`).Wants(http.StatusCreated)
	require.Contains(t, answer.Body, `"secret":null`)
	var m made
	answer.Into(&m)
	require.Empty(t, m.Key.Secrets)
	require.Len(t, m.Key.PublicKeys, 2)
	require.Equal(t, "b", m.Key.PublicKeys[1].Name)
	require.Equal(t, m.Key, r.read("olga", m.Key.ID))

	m = r.createWith("olga", "team-a", `{"name":"ci","permissions":[],"secret":true,"public_keys":[],"trusts":[]}`)
	require.NoError(t, r.login(m.Key.ID, m.Secret))
}

// TestTrusts adds, replaces and retires trusts.
func TestTrusts(t *testing.T) {
	r := newRig(t)
	m := r.createWith("olga", "team-a", `{"name":"ci","permissions":[],"secret":false,"trusts":[{"name":"pod","issuer":"cluster","claims":{"uid":"1"},"expires_at":"2027-01-31T12:00:00Z"}]}`)
	path := "/keys/" + m.Key.ID
	require.Equal(t, m.Key, r.read("olga", m.Key.ID))
	require.Empty(t, m.Key.Secrets)
	require.Empty(t, m.Key.PublicKeys)
	pod := m.Key.Trusts[0]
	end := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	require.Equal(t, credential{ID: pod.ID, Name: "pod", Issuer: "cluster", Claims: map[string]string{"uid": "1"}, CreatedBy: pod.CreatedBy, CreatedAt: noon, ExpiresAt: &end}, pod)
	require.Equal(t, "olga", pod.CreatedBy.ID)

	var k key
	github := `{"name":"deploy","issuer":"github","claims":{"repository_id":"74","environment":"production"}}`
	added := r.do("max", "POST", path+"/trusts", github, "If-Match", `"1"`, "Idempotency-Key", "one").Wants(http.StatusCreated)
	require.Equal(t, `"2"`, added.Header.Get("ETag"))
	added.Into(&k)
	require.Len(t, k.Trusts, 2)
	require.Equal(t, map[string]string{"repository_id": "74", "environment": "production"}, k.Trusts[1].Claims)
	require.Equal(t, m.Key.ID, r.do("max", "POST", path+"/trusts", github, "If-Match", `"1"`, "Idempotency-Key", "one").problem(http.StatusConflict, admin.CodeAlreadyDone).Key)

	r.do("olga", "POST", path+"/trusts", `{"name":"pod","issuer":"cluster","claims":{"uid":"2"},"replaces":"`+pod.ID+`","grace":60}`).Wants(http.StatusCreated).Into(&k)
	require.Len(t, k.Trusts, 3)
	require.Equal(t, noon.Add(time.Minute), *k.Trusts[0].ExpiresAt)
	r.do("olga", "DELETE", path+"/credentials/"+pod.ID, "").Wants(http.StatusOK).Into(&k)
	require.Len(t, k.Trusts, 2)
}

// TestTrustedIssuers: every actor sees the entries, without how their keys are found.
func TestTrustedIssuers(t *testing.T) {
	r := newRig(t)
	var got struct {
		Issuers []struct {
			Name, Title, Issuer string
			Shared              bool
			OneOf               []string `json:"one_of"`
			Claims              []struct {
				Name      string
				Immutable bool
				Help      *string
			}
		}
	}
	body := r.do("guest", "GET", "/trusted_issuers", "").Wants(http.StatusOK)
	body.Into(&got)
	require.Len(t, got.Issuers, 2)
	require.Contains(t, body.Body, `{"claims":[{"help":null,"immutable":true,"name":"uid"}],"issuer":"https://cluster.example.com","name":"cluster","one_of":[],"shared":false,"title":"cluster"}`)
	github := got.Issuers[1]
	require.Equal(t, []string{"github", "GitHub Actions"}, []string{github.Name, github.Title})
	require.True(t, github.Shared)
	require.Equal(t, []string{"environment", "ref"}, github.OneOf)
	require.NotEmpty(t, *github.Claims[0].Help)

	r = newRig(t, func(s *setup) { s.keys.TrustedIssuers = nil })
	require.Equal(t, `{"issuers":[]}`, strings.TrimSpace(r.do("guest", "GET", "/trusted_issuers", "").Wants(http.StatusOK).Body))
	p := r.do("ada", "POST", createA, `{"name":"x","permissions":[],"trusts":[{"name":"x","issuer":"cluster","claims":{"uid":"1"}}]}`).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
	require.Equal(t, []string{"trusts[0].issuer"}, fields(p))
}

// TestLargestKey: the largest new key that people need fits into one request.
func TestLargestKey(t *testing.T) {
	r := newRig(t)
	modulus := func(n int) string { // 4096 bits
		return base64.RawURLEncoding.EncodeToString(append(bytes.Repeat([]byte{0xff}, 511), byte(2*n+1)))
	}
	var public, trusts []string
	for n := range 8 {
		public = append(public, fmt.Sprintf(`{"name":"%0255d","public_key":{"kty":"RSA","alg":"PS256","kid":"%0128d","e":"AQAB","n":%q},"endpoint_audience":true}`, n, n, modulus(n)))
	}
	for n := range 16 {
		var claims []string
		for _, c := range trust.GitHubActions().Claims {
			claims = append(claims, fmt.Sprintf(`%q:"%090d"`, c.Name, n))
		}
		trusts = append(trusts, fmt.Sprintf(`{"name":"%0255d","issuer":"github","claims":{%s},"expires_at":"2027-01-31T12:00:00Z"}`, n, strings.Join(claims, ",")))
	}
	m := r.createWith("ada", "team-a", `{"name":"x","permissions":[],"secret":false,"public_keys":[`+strings.Join(public, ",")+`],"trusts":[`+strings.Join(trusts, ",")+`]}`)
	require.Len(t, m.Key.PublicKeys, 8)
	require.Len(t, m.Key.Trusts, 16)
	require.Equal(t, modulus(7), m.Key.PublicKeys[7].PublicKey["n"])
}

// TestCredentialBodies: what is wrong with a public key is named by its field.
func TestCredentialBodies(t *testing.T) {
	r := newRig(t)
	m := r.createWith("olga", "team-a", `{"name":"ci","permissions":[],"public_keys":[{"name":"old","public_key":`+ecKey+`}]}`)
	many := ""
	for n := range byte(8) {
		many += `,{"name":"x","public_key":` + otherKey(n) + `}`
	}
	public, trusts, old := "/keys/"+m.Key.ID+"/public_keys", "/keys/"+m.Key.ID+"/trusts", m.Key.PublicKeys[0].ID
	create := func(rest string) string { return `{"name":"x","permissions":[],` + rest + `}` }
	add := func(rest string) string { return `{"name":"x","public_key":` + ecKey + `,` + rest + `}` }
	one, trusting := `{"name":"x","public_key":`+ecKey+`}`, `{"name":"x","issuer":"cluster","claims":{"uid":"1"}}`
	before := r.snapshot("team-a")
	for _, c := range []struct {
		name, path, body string
		fields           []string
	}{
		{"nothing", public, `{}`, []string{"name", "public_key"}},
		{"other types", public, `{"name":1,"public_key":"x","expires_at":7,"endpoint_audience":"yes","long_assertions":null}`, []string{"public_key", "name", "endpoint_audience", "long_assertions", "expires_at"}},
		{"a null JWK", public, `{"name":"x","public_key":null}`, []string{"public_key"}},
		{"an empty JWK", public, `{"name":"x","public_key":{}}`, []string{"public_key"}},
		{"a JWK Set", public, `{"name":"x","public_key":{"keys":[` + ecKey + `]}}`, []string{"public_key"}},
		{"an empty name", public, `{"name":"","public_key":` + ecKey + `}`, []string{"name"}},
		{"the past", public, add(`"expires_at":"2020-01-01"`), []string{"expires_at"}},
		{"long assertions that the host does not allow", public, add(`"long_assertions":true`), []string{"long_assertions"}},
		{"a grace for nothing", public, add(`"grace":60`), []string{"replaces"}},
		{"a replacement without a grace", public, add(`"replaces":"` + old + `"`), []string{"grace"}},
		{"a replacement of nothing", public, add(`"replaces":"","grace":60`), []string{"replaces"}},
		{"a replacement of an unknown one", public, add(`"replaces":"x","grace":60`), []string{"replaces"}},
		{"a replacement of a secret", public, add(`"replaces":"` + m.Key.Secrets[0].ID + `","grace":60`), []string{"replaces"}},
		{"grace below zero", public, add(`"replaces":"` + old + `","grace":-1`), []string{"grace"}},
		{"grace of a thousand years", public, add(`"replaces":"` + old + `","grace":31622401`), []string{"grace"}},
		{"a trust: nothing", trusts, `{}`, []string{"name", "issuer", "claims"}},
		{"a trust: other types", trusts, `{"name":null,"issuer":[],"claims":["uid"]}`, []string{"name", "issuer", "claims"}},
		{"a trust: a claim of another type", trusts, `{"name":"x","issuer":"cluster","claims":{"uid":1}}`, []string{"claims"}},
		{"a trust: a claim that is null", trusts, `{"name":"x","issuer":"cluster","claims":{"uid":"1","zone":null}}`, []string{"claims"}},
		{"a trust: no claims", trusts, `{"name":"x","issuer":"cluster","claims":{}}`, []string{"claims"}},
		{"a trust: an unknown claim", trusts, `{"name":"x","issuer":"cluster","claims":{"sub":"x"}}`, []string{"claims"}},
		{"a trust: an unknown issuer", trusts, `{"name":"x","issuer":"https://cluster.example.com","claims":{"uid":"1"}}`, []string{"issuer"}},
		{"a trust: a replacement of a public key", trusts, `{"name":"x","issuer":"cluster","claims":{"uid":"1"},"replaces":"` + old + `","grace":0}`, []string{"replaces"}},
		{"a new key: a trust that names no immutable claim", createA, create(`"public_keys":[` + one + `],"trusts":[{"name":"x","issuer":"cluster","claims":{"uid":"1"}},{"name":"x","issuer":"github","claims":{"ref":"refs/heads/main"}}]`), []string{"trusts[1].claims"}},
		{"a new key: other types", createA, create(`"secret":null,"public_keys":{},"trusts":"x"`), []string{"public_keys", "trusts", "secret"}},
		{"a new key: null", createA, create(`"public_keys":[null]`), []string{"public_keys[0].name", "public_keys[0].public_key"}},
		{"a new key: everything", createA, `{"name":1,"permissions":{},"public_keys":[{}],"trusts":[{}]}`, []string{"name", "permissions", "public_keys[0].name", "public_keys[0].public_key", "trusts[0].name", "trusts[0].issuer", "trusts[0].claims"}},
		{"a new key: no objects", createA, create(`"public_keys":["x"],"trusts":[[]]`), []string{"public_keys", "trusts"}},
		{"a new key: members left out", createA, create(`"public_keys":[` + one + `,{}],"trusts":[{"claims":{"a":1}}]`), []string{"public_keys[1].name", "public_keys[1].public_key", "trusts[0].name", "trusts[0].issuer", "trusts[0].claims"}},
		{"a new key: a claim that is null", createA, create(`"trusts":[{"name":"x","issuer":"cluster","claims":{"a":null}}]`), []string{"trusts[0].claims"}},
		{"a new key: many that are wrong", createA, create(`"public_keys":[{}` + strings.Repeat(",{}", 1000) + `]`), []string{"public_keys[0].name", "public_keys[0].public_key"}},
		{"a new key: a JWK of an unknown kind", createA, create(`"public_keys":[` + one + `,{"name":"x","public_key":{"kty":"EC","crv":"P-384"}}]`), []string{"public_keys[1].public_key"}},
		{"a new key: an empty name", createA, create(`"public_keys":[{"name":"","public_key":` + ecKey + `}]`), []string{"public_keys[0].name"}},
		{"a new key: nine public keys", createA, create(`"public_keys":[` + one + many + `]`), []string{"public_keys[8].public_key"}},
		{"a new key: a public key twice", createA, create(`"public_keys":[` + one + `,` + one + `]`), []string{"public_keys[1].public_key"}},
		{"a new key: a trust twice", createA, create(`"public_keys":[` + one + `],"trusts":[` + trusting + `,` + trusting + `]`), []string{"trusts[1].claims"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.at(t).do("ada", "POST", c.path, c.body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.ElementsMatch(t, c.fields, fields(p))
			for _, e := range p.Errors {
				require.NotEmpty(t, e.Reason)
			}
		})
	}
	for name, c := range map[string]struct{ path, body, field string }{
		"an unknown member of a credential":  {createA, create(`"public_keys":[` + one + `,` + withMember(one, `"force":true`) + `]`), "public_keys[1].force"},
		"a member for replacements":          {createA, create(`"public_keys":[` + withMember(one, `"replaces":"x"`) + `]`), "public_keys[0].replaces"},
		"a member in another case":           {createA, create(`"public_keys":[` + withMember(one, `"Name":"y"`) + `]`), "public_keys[0].Name"},
		"an unknown member of a trust":       {createA, create(`"trusts":[{"subject":"x"}]`), "trusts[0].subject"},
		"a member twice":                     {createA, create(`"public_keys":[` + withMember(one, `"name":"y"`) + `]`), "name"},
		"a claim twice":                      {createA, create(`"trusts":[{"claims":{"uid":"1","uid":"2"}}]`), "uid"},
		"a member of a JWK twice":            {public, `{"name":"x","public_key":` + withMember(ecKey, `"x":"y"`) + `}`, "x"},
		"a member of a trust for public key": {public, add(`"issuer":"x"`), "issuer"},
	} {
		t.Run("B13 "+name, func(t *testing.T) {
			p := r.at(t).do("ada", "POST", c.path, c.body).problem(http.StatusBadRequest, admin.CodeMalformed)
			require.Equal(t, []string{c.field}, fields(p))
		})
	}
	for _, body := range []string{`{"secret":false}`, `{"public_keys":[]}`, `{"trusts":[]}`} {
		r.do("ada", "PATCH", "/keys/"+m.Key.ID, body).problem(http.StatusBadRequest, admin.CodeMalformed)
	}
	require.Equal(t, before, r.snapshot("team-a"))
}

// TestPrivateMembers: a JWK with a private member is refused. The member is in no answer,
// log line or record.
func TestPrivateMembers(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	r.out.Keep(ecPrivate)
	for name, jwk := range map[string]string{
		"d":                 withMember(ecKey, `"d":"`+ecPrivate+`"`),
		"d alone":           `{"kty":"OKP","crv":"Ed25519","d":"` + ecPrivate + `"}`,
		"a symmetric key":   `{"kty":"oct","k":"` + ecPrivate + `"}`,
		"p":                 withMember(ecKey, `"p":"`+ecPrivate+`"`),
		"more primes":       withMember(ecKey, `"oth":[{"d":"`+ecPrivate+`"}]`),
		"d in another case": withMember(ecKey, `"D":"`+ecPrivate+`"`),
		"d twice":           withMember(ecKey, `"d":"`+ecPrivate+`","d":"`+ecPrivate+`"`),
		"d of another type": withMember(ecKey, `"d":{"`+ecPrivate+`":1}`),
		"a text":            `"` + ecPrivate + `"`,
		"a list":            `["` + ecPrivate + `"]`,
		"in place of x":     strings.Replace(ecKey, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", ecPrivate, 1),
		"in place of kty":   strings.Replace(ecKey, `"EC"`, `"`+ecPrivate+`"`, 1),
		"in place of alg":   withMember(ecKey, `"alg":"`+ecPrivate+`"`),
		"a set":             `{"keys":[` + withMember(ecKey, `"d":"`+ecPrivate+`"`) + `]}`,
	} {
		t.Run("7523-07 "+name, func(t *testing.T) {
			r := r.at(t)
			before := r.snapshot("team-a")
			for path, body := range map[string]string{
				"/keys/" + m.Key.ID + "/public_keys": `{"name":"x","public_key":` + jwk + `}`,
				createA:                              `{"name":"x","permissions":[],"public_keys":[{"name":"x","public_key":` + jwk + `}]}`,
			} {
				got := r.do("olga", "POST", path, body, "Idempotency-Key", "one")
				require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, got.StatusCode, got.Body)
				require.NotContains(t, got.Body, ecPrivate)
			}
			require.Equal(t, before, r.snapshot("team-a"))
		})
	}
	require.NotContains(t, r.out.String(), ecPrivate)
}
