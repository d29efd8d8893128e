package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// Decoding a record gives the same fields, and the text of one field cannot change
// another field.
func FuzzRecord(f *testing.F) {
	f.Add("id", "team-a", "name", "digest", int64(0))
	f.Add("a b\n{c}%", "}{", "\x00\x01\xff", " \n", int64(-62135596800000000))
	f.Add("", "%7b", "", "", int64(253402300799999999))
	f.Fuzz(func(t *testing.T, id, workspace, name, digest string, at int64) {
		if at < -62135596800000000 || at > 253402300799999999 {
			return // the years 1 to 9999
		}
		when := time.UnixMicro(at).UTC()
		k := store.Key{
			ID: id, Workspace: workspace, Name: name, NotAfterText: name, Permissions: scope.MustParse("a b.c"), RequestedPermissions: scope.MustParse("*"), AdminPermissions: scope.MustParse("b.c"),
			Resources: []string{name, digest, ""}, CreatedBy: store.ActorRef{Kind: digest, ID: name}, Created: when, Updated: when,
			NotAfter: when, LastUsed: when, Direct: true,
			Credentials: []store.Credential{
				{ID: digest + "1", Hint: name, Digest: digest, Prefix: name, CreatedBy: store.ActorRef{Kind: id, ID: digest}, Created: when, Generated: true, LastUsed: when},
				{ID: digest + "2", Hint: digest, Digest: name, Prefix: digest, NotAfter: when},
				{ID: digest + "3", Name: name, Created: when, PublicKey: &store.PublicKey{JWK: digest, EndpointAudience: at%2 == 0, LongAssertions: at%3 == 0}},
				{ID: digest + "4", Name: id, Trust: &store.Trust{Issuer: digest}},
				{ID: digest + "5", Trust: &store.Trust{Issuer: name, Claims: []store.Claim{{Name: digest, Value: name}, {Name: id}, {}}}},
			},
		}
		got, err := redisstore.RoundTripKey(k)
		require.NoError(t, err)
		require.Equal(t, k, got)
		e := store.Event{ID: id, Time: when, Actor: k.CreatedBy, Action: name, Workspace: workspace, Key: id, KeyName: name, ActorName: digest, Address: workspace, Changes: []store.FieldChange{{Field: name, Old: digest}, {New: id}}, Note: digest}
		event, err := redisstore.RoundTripEvent(e)
		require.NoError(t, err)
		require.Equal(t, e, event)
	})
}

// Decoding a damaged record gives an error or a record, and does not panic.
func FuzzDamage(f *testing.F) {
	f.Add("1 1 team-a 8000000000000000 owner p 0 \n0 8000000000000000  x name project.list %2A  1 a b\ns1  8000000000000000 d 8000000000000000 owner o p h 1 ")
	f.Add("1 1 a    0 \n0        0\np1         0 n k %7B%7D 1 0\ng.1         0 n t g ref main")
	f.Add("")
	f.Add("\n\n\n\n\n\n")
	f.Add("1 1 0 8000000000000000 1 7 0 0  5 6")
	f.Add("0 3600000000000 86400000000000")
	f.Fuzz(func(_ *testing.T, record string) {
		_, _ = redisstore.DecodeKey(record)
		_, _ = redisstore.DecodeEvent(record)
		_, _, _ = redisstore.DecodeSettings(record)
	})
}

// What a public key or a trust has is read only in the form in which it was written.
func TestKindsOfCredentials(t *testing.T) {
	const line = "1 1 team-a    0 \n0        0\nid         0 name"
	for _, tc := range []struct {
		words string
		want  store.Credential
	}{
		{"", store.Credential{}},
		{" k jwk 1 0", store.Credential{PublicKey: &store.PublicKey{JWK: "jwk", EndpointAudience: true}}},
		{" k jwk 0 1", store.Credential{PublicKey: &store.PublicKey{JWK: "jwk", LongAssertions: true}}},
		{" t github", store.Credential{Trust: &store.Trust{Issuer: "github"}}},
		{" t github ref a%20b", store.Credential{Trust: &store.Trust{Issuer: "github", Claims: []store.Claim{{Name: "ref", Value: "a b"}}}}},
	} {
		k, err := redisstore.DecodeKey(line + tc.words)
		require.NoError(t, err, tc.words)
		tc.want.ID, tc.want.Name = "id", "name"
		require.Equal(t, []store.Credential{tc.want}, k.Credentials)
	}
	for _, words := range []string{" ", " k", " k jwk", " k jwk 1", " k jwk 1 0 1", " k jwk 1 2", " k jwk 1 ", " t", " t github ref", " t github ref a b", " x", " x github"} {
		_, err := redisstore.DecodeKey(line + words)
		require.ErrorContains(t, err, "cannot be read", "%q", words)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a{b}%7b \n")
	f.Fuzz(func(t *testing.T, text string) {
		word := redisstore.Escape(text)
		require.Equal(t, text, redisstore.Unescape(word))
		require.False(t, strings.ContainsAny(word, " \n{}"), word)
	})
}

// Stores on one server never use the same Redis key, also if the prefix of one is the
// beginning of the other's, for any ids.
func TestNames(t *testing.T) {
	prefixes, texts := []string{"p"}, []string{"x", "0", ":", "a:b", "{p}:ring", "x:never", "never", "r"}
	for _, kind := range []string{"w", "limit", "revoked", "done", "once", "log", "notices", "x", "once:a", "w:w", "ring"} {
		prefixes = append(prefixes, "p:"+kind, "p:"+kind+":", "p:"+kind+":x", "p"+kind)
		texts = append(texts, kind+":x", kind+":"+kind+":x", kind+":0", ":"+kind+":x")
	}
	seen := map[string]string{}
	for _, prefix := range prefixes {
		for _, text := range texts {
			for name, of := range redisstore.Names(prefix, text) {
				of = "the " + of + " in " + prefix
				if other, found := seen[name]; found && other != of {
					t.Errorf("%q is %s, and %s", name, of, other)
				}
				seen[name] = of
			}
		}
	}
}
