package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// The longest texts of a credential, in bytes; see store.Credential.
const (
	longestID    = 255
	longestName  = 1024
	longestJWK   = 4096
	longestValue = 1024
)

// credentialRules are the rules about all kinds of credentials.
func credentialRules() []rule {
	return []rule{
		{
			name: "keeps every kind",
			why:  "A credential of each kind is returned as it was stored: each text byte by byte, each switch, and the claims in their order. No text changes another one.",
			run: func(t tester, s store.Store) {
				k := oddKey()
				create(t, s, k)
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: k.Credentials[0].ID, At: noon}}))
				k.Credentials[0].LastUsed, k.LastUsed = noon, noon
				update(t, s, k)
				k.Version++
				equalKey(t, "key after an update", lookup(t, s, "key-1").Key, k)
			},
		},
		{
			name: "an update keeps what stays",
			why:  "Of a credential that stays, everything but NotAfter is kept from the stored record, its kind too: a caller that sends another public key or other claims under an old id changes nothing.",
			run: func(t tester, s store.Store) {
				want := newKey("team-a", "key-1")
				create(t, s, want)
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "t1-key-1", At: noon}}))
				want.LastUsed, want.Credentials[3].LastUsed = noon, noon
				other := store.ActorRef{Kind: "other", ID: "other"}
				for version := range int64(3) { // as a public key, as a trust and as a secret
					k := want.Clone()
					for i := range k.Credentials {
						c := &k.Credentials[i]
						*c = store.Credential{
							ID: c.ID, Name: "other", Hint: "other", Digest: "other", Prefix: "other_", CreatedBy: other, Generated: !c.Generated,
							Created: noon.AddDate(1, 0, 0), NotAfter: noon.AddDate(0, i, int(version)), LastUsed: noon.AddDate(1, 0, 0),
						}
						switch version {
						case 0:
							c.PublicKey = &store.PublicKey{JWK: "other"}
						case 1:
							c.Trust = &store.Trust{Issuer: "other", Claims: []store.Claim{{Name: "other", Value: "other"}}}
						}
						want.Credentials[i].NotAfter = c.NotAfter
					}
					update(t, s, k)
					want.Version++
					equalKey(t, "key", lookup(t, s, "key-1").Key, want)
				}
			},
		},
		{
			name: "records the uses of every kind",
			why:  "RecordUses records the use of a public key or a trust as that of a secret.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				var uses []store.Use
				for i := range k.Credentials {
					c := &k.Credentials[i]
					c.LastUsed = noon.Add(time.Duration(i) * time.Minute)
					k.LastUsed = c.LastUsed
					uses = append(uses, store.Use{Key: "key-1", Credential: c.ID, At: c.LastUsed})
				}
				must(t, "RecordUses", s.Upkeep.RecordUses(background, uses))
				equalKey(t, "key", lookup(t, s, "key-1").Key, k)
			},
		},
		{
			name: "keeps the largest key",
			why:  "A key may have 8 secrets, 8 public keys and 16 trusts, all with the longest texts.",
			run:  largestKey,
		},
	}
}

// oddKey returns a key whose credentials have unusual texts.
func oddKey() store.Key {
	k := plainKey("team-a", "key-1")
	for _, text := range []string{"k", "t", "a b", " ", "1 0", "%20%", "a\nb\r\tc", `"\'{}[]<&>`, "null", "\u00fc\u2028\U0001f511", ""} {
		id := fmt.Sprint(len(k.Credentials), text)
		k.Credentials = append(k.Credentials,
			store.Credential{ID: "p1-" + id, Name: text, PublicKey: &store.PublicKey{JWK: text}},
			store.Credential{ID: "p2-" + id, Name: text, PublicKey: &store.PublicKey{JWK: text, EndpointAudience: true}, Created: noon},
			store.Credential{ID: "p3-" + id, PublicKey: &store.PublicKey{JWK: text, LongAssertions: true}, NotAfter: noon},
			store.Credential{ID: "t1-" + id, Name: text, Trust: &store.Trust{Issuer: text}},
			store.Credential{ID: "t2-" + id, Trust: &store.Trust{Issuer: text, Claims: []store.Claim{{Name: text, Value: "b"}, {Name: "a", Value: text}, {}, {Name: text, Value: text}}}},
			store.Credential{ID: "s-" + id, Hint: text, Digest: text, Prefix: text})
	}
	return k
}

func largestKey(t tester, s store.Store) {
	long := func(most int, begin string) string { return begin + strings.Repeat("x", most-len(begin)) }
	k := newKey("team-a", "key-1")
	k.Credentials = nil
	for i := range 32 {
		c := store.Credential{ID: long(longestID, fmt.Sprint(i, "-")), Name: long(longestName, "name"), Created: noon, NotAfter: noon.Add(time.Hour)}
		switch {
		case i < 8:
			c.Name, c.Digest = "", long(longestName, "digest")
		case i < 16:
			c.PublicKey = &store.PublicKey{JWK: long(longestJWK, fmt.Sprint("jwk ", i)), EndpointAudience: true}
		default:
			c.Trust = &store.Trust{Issuer: long(longestID, "issuer")}
			for n := range 16 {
				c.Trust.Claims = append(c.Trust.Claims, store.Claim{Name: long(longestID, fmt.Sprint("claim-", n)), Value: long(longestValue, fmt.Sprint(i, n))})
			}
		}
		k.Credentials = append(k.Credentials, c)
	}
	create(t, s, k, newKey("team-a", "key-2"))
	equalKey(t, "key", lookup(t, s, "key-1").Key, k)
	last := &k.Credentials[31]
	must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: last.ID, At: noon}}))
	last.LastUsed, k.LastUsed, last.NotAfter = noon, noon, noon
	k.Credentials[8].ID, k.Credentials[8].PublicKey.JWK = "new", long(longestJWK, "new")
	update(t, s, k)
	k.Version++
	page, err := s.Keys.List(background, store.KeyQuery{Workspace: "team-a", Sort: store.ByName})
	must(t, "List", err)
	if len(page.Keys) != 2 {
		t.Fatalf("List: got %d keys, want 2", len(page.Keys))
	}
	equalKey(t, "listed key", page.Keys[0], k)
	remove(t, s, "team-a", "key-1")
	k.ID = "key-3"
	create(t, s, k) // all ids are free
}
