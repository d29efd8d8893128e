package apikey_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// TestRecordsOfCredentials restores every kind of credential from a backup, on a service
// that does not list the issuer.
func TestRecordsOfCredentials(t *testing.T) {
	was := newRig(t, trusting)
	spec, private := withPrivate("1")
	spec.NotAfter = noon.AddDate(1, 0, 0)
	key, secret := was.create(owner, "team-a", "project.list", func(s *apikey.Spec) {
		s.Credentials = []apikey.CredentialSpec{spec, trustOf(1)}
	})
	text, err := json.Marshal(was.records()[0].Key)
	require.NoError(t, err)
	var record store.Key
	require.NoError(t, json.Unmarshal(text, &record))

	r := rigOn(t, memstore.New(), func(c *apikey.Config) { c.Issuer = serverIssuer })
	r.restore(store.Found{Key: record})
	now, err := r.Get(t.Context(), owner, key.ID)
	require.NoError(t, err)
	require.Equal(t, key.Credentials, now.Credentials)
	r.mustLogin(key.ID, secret)
	_, err = r.assert(key.ID, private)
	require.NoError(t, err)
	for _, e := range append(was.events(store.EventQuery{}), r.events(store.EventQuery{})...) {
		require.NoError(t, rigOn(t, memstore.New()).RestoreEvent(t.Context(), admin, e))
	}
}

// TestRestorerRefusesCredentials tests the refusals of records that no call could have
// stored.
func TestRestorerRefusesCredentials(t *testing.T) {
	private, _ := jwkOf(map[string]any{"kid": "1", "d": "AAAA"})
	was := newRig(t, trusting)
	was.create(owner, "team-a", "", func(s *apikey.Spec) { s.Credentials = []apikey.CredentialSpec{keyOf(1), trustOf(1)} })
	good := was.records()[0].Key
	more := func(of, n int) func(k *store.Key) {
		return func(k *store.Key) {
			for i := range n {
				c := k.Clone().Credentials[of]
				c.ID += fmt.Sprint(i)
				k.Credentials = append(k.Credentials, c)
			}
		}
	}
	claim := func(name, value string) func(k *store.Key) {
		return func(k *store.Key) { k.Credentials[2].Trust.Claims[0] = store.Claim{Name: name, Value: value} }
	}
	issuer := func(name string) func(k *store.Key) {
		return func(k *store.Key) { k.Credentials[2].Trust.Issuer, k.Credentials[2].ID = name, name+".x" }
	}
	for _, tc := range []struct {
		name, field string // no field: it is accepted
		change      func(k *store.Key)
	}{
		{"as it was", "", func(*store.Key) {}},
		{"one that has ended", "", func(k *store.Key) { k.Credentials[1].NotAfter = noon }},
		{"as many as a key holds", "", func(k *store.Key) { more(0, 7)(k); more(1, 7)(k); more(2, 15)(k) }},
		{"too many secrets", "secrets", more(0, 8)},
		{"too many public keys", "public_keys", more(1, 8)},
		{"too many trusts", "trusts", more(2, 16)},
		{"an id twice", "trusts", func(k *store.Key) { k.Credentials[1].ID = k.Credentials[2].ID }},
		{"no id", "public_keys", func(k *store.Key) { k.Credentials[1].ID = "" }},
		{"no time of creation", "trusts", func(k *store.Key) { k.Credentials[2].Created = time.Time{} }},
		{"an odd creator", "public_keys", func(k *store.Key) { k.Credentials[1].CreatedBy.Kind = "a b" }},
		{"a secret without a digest", "secrets", func(k *store.Key) { k.Credentials[0].Digest = "" }},
		{"a secret with a name", "secrets", func(k *store.Key) { k.Credentials[0].Name = "x" }},
		{"a public key without a name", "public_keys", func(k *store.Key) { k.Credentials[1].Name = "" }},
		{"a public key with a digest", "public_keys", func(k *store.Key) { k.Credentials[1].Digest = k.Credentials[0].Digest }},
		{"a public key with a hint", "public_keys", func(k *store.Key) { k.Credentials[1].Hint = "abcd" }},
		{"a public key with a prefix", "public_keys", func(k *store.Key) { k.Credentials[1].Prefix = "lk_" }},
		{"a trust that was generated", "trusts", func(k *store.Key) { k.Credentials[2].Generated = true }},
		{"both", "public_keys", func(k *store.Key) { k.Credentials[1].Trust = k.Credentials[2].Trust }},
		{"no JWK", "public_keys", func(k *store.Key) { k.Credentials[1].PublicKey.JWK = "" }},
		{"B11 a private key", "public_keys", func(k *store.Key) { k.Credentials[1].PublicKey.JWK = private }},
		{"a JWK that another release wrote", "", func(k *store.Key) {
			var members map[string]string
			require.NoError(t, json.Unmarshal([]byte(k.Credentials[1].PublicKey.JWK), &members))
			members["use"] = "sig"
			text, err := json.MarshalIndent(members, "", " ")
			require.NoError(t, err)
			k.Credentials[1].PublicKey.JWK = string(text)
		}},
		{"an issuer without a name", "trusts", issuer("")},
		{"an issuer in capitals", "trusts", issuer("GitHub")},
		{"an issuer with a dot", "trusts", issuer("git.hub")},
		{"an issuer with a long name", "trusts", issuer(strings.Repeat("x", 33))},
		{"an issuer that is not listed", "", issuer("buildkite-2")},
		{"B34 an id that does not name the issuer", "trusts", func(k *store.Key) { k.Credentials[2].ID = "gitlab.x" }},
		{"no claims", "trusts", func(k *store.Key) { k.Credentials[2].Trust.Claims = nil }},
		{"too many claims", "trusts", func(k *store.Key) {
			for i := range 15 {
				k.Credentials[2].Trust.Claims = append(k.Credentials[2].Trust.Claims, store.Claim{Name: fmt.Sprint(i), Value: "x"})
			}
		}},
		{"a claim twice", "trusts", claim("repository_id", "2")},
		{"a claim without a name", "trusts", claim("", "x")},
		{"a claim without a value", "trusts", claim("ref", "")},
		{"a claim of a space", "", claim("ref", " ")},
		{"B15 a claim of two lines", "trusts", claim("ref", "a\nb")},
		{"a long claim", "trusts", claim("ref", strings.Repeat("x", 513))},
		{"claims in another order", "", func(k *store.Key) {
			c := k.Credentials[2].Trust.Claims
			c[0], c[1] = c[1], c[0]
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			add, err := r.Restorer(t.Context(), admin)
			require.NoError(t, err)
			record := good.Clone()
			tc.change(&record)
			err = add(store.Found{Key: record})
			if tc.field != "" {
				requireField(t, r.note(err), tc.field)
				require.Empty(t, r.records())
				return
			}
			require.NoError(t, err)
			require.Equal(t, good.Credentials[1].PublicKey, r.records()[0].Key.Credentials[1].PublicKey)
			if tc.name != "an issuer that is not listed" && tc.name != "a claim of a space" {
				require.Equal(t, good.Credentials[2], r.records()[0].Key.Credentials[2])
			}
		})
	}
}

// TestEventsOfManyCredentials tests that what changed is not cut off, and that no name can
// pass for another text.
func TestEventsOfManyCredentials(t *testing.T) {
	r := newRig(t, trusting)
	key, _ := r.create(owner, "team-a", "")
	long := func(n int) apikey.CredentialSpec {
		spec := trustOf(n)
		spec.Trust.Claims = append(spec.Trust.Claims, store.Claim{Name: "runner_environment", Value: strings.Repeat("x", 300)})
		return spec
	}
	var ids []string
	for n := range 6 {
		ids = append(ids, last(r.add(owner, key.ID, long(n))).ID)
	}
	r.clock.Advance(time.Minute)
	renewed := long(5)
	renewed.Replaces, renewed.Grace = ids[5], time.Minute
	r.add(owner, key.ID, renewed)
	change := r.events(store.EventQuery{Action: audit.AddCredential})[6].Changes[0]
	require.True(t, strings.HasPrefix(change.Old, ids[5]+` "trust 5" issuer github "environment"="prod" "repository_id"="5" `), change.Old)
	require.True(t, strings.HasPrefix(change.New, ids[5]+` "trust 5" until 2026-07-01T12:02:00Z issuer github `), change.New)
	require.NotContains(t, change.New, ids[0])

	spec := keyOf(1)
	spec.Name = `x" kid "2`
	r.clock.Advance(time.Second)
	added := last(r.add(owner, key.ID, spec))
	change = r.events(store.EventQuery{Action: audit.AddCredential})[7].Changes[0]
	require.Equal(t, added.ID+` "x\" kid \"2" kid "key 1" endpoint_audience false long_assertions false`, change.New)
}

// TestPublicKeyIsNoSecret tests a public key with the id that a secret would have.
func TestPublicKeyIsNoSecret(t *testing.T) {
	plain := apikey.MustSecret(randomFrom("another"), "lk_").Reveal()
	r := newRig(t)
	r.keep(plain)
	was := newRig(t)
	key, _ := was.create(owner, "team-a", "", func(s *apikey.Spec) { s.NoSecret, s.Credentials = true, []apikey.CredentialSpec{keyOf(1)} })
	record := was.records()[0]
	record.Key.Credentials[0].ID = secrets.ID(plain)
	r.restore(record)
	_, err := r.login(key.ID, plain)
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{Secret: plain}))
	_, err = r.ReportLeak(t.Context(), plain, apikey.Leak{})
	require.ErrorIs(t, r.note(err), apikey.ErrInvalidCredentials)
	_, _, err = r.FindSecret(t.Context(), admin, plain)
	require.ErrorIs(t, r.note(err), store.ErrNotFound)
	require.Equal(t, record.Key.Credentials, r.records()[0].Key.Credentials)
}

// A public key and a trust have no digest. A guess at an imported secret of the same key is
// compared with secrets only, and so is wrong and no failure of the store.
func TestImportedSecretsBesidePublicKeys(t *testing.T) {
	r := newRig(t, trusting, func(c *apikey.Config) { c.Imported = true })
	key, err := r.Import(t.Context(), admin, apikey.ImportSpec{ID: "legacy", Secret: "correct horse", Spec: apikey.Spec{
		Workspace: "team-a", Name: "legacy", Credentials: []apikey.CredentialSpec{keyOf(1)},
	}})
	require.NoError(t, r.note(err))
	_, err = r.login(key.ID, "wrong horse")
	require.ErrorIs(t, err, apikey.ErrInvalidCredentials)
	require.NotErrorIs(t, err, store.ErrUnavailable)
	_, err = r.login(key.ID, "correct horse")
	require.NoError(t, err)
}
