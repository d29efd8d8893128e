package storetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// keyWith returns a key whose secrets have the given ids.
func keyWith(workspace, id string, secrets ...string) store.Key {
	k := plainKey(workspace, id)
	k.Credentials = nil
	for _, secret := range secrets {
		k.Credentials = append(k.Credentials, store.Credential{ID: secret, Digest: "digest of " + secret, Created: noon})
	}
	return k
}

// wantOwner checks that the key with the given id is found by each of the secrets, as by its
// own id.
func wantOwner(t tester, s store.Store, key string, secrets ...string) {
	t.Helper()
	want := foundText(lookup(t, s, key))
	for _, secret := range secrets {
		found, err := s.Secrets.LookupSecret(background, secret)
		if err != nil {
			t.Errorf("LookupSecret(%q): %v", secret, err)
			continue
		}
		equalText(t, fmt.Sprintf("LookupSecret(%q)", secret), foundText(found), want)
	}
}

// wantNoOwner checks that no key is found by any of the secrets.
func wantNoOwner(t tester, s store.Store, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		_, err := s.Secrets.LookupSecret(background, secret)
		wantError(t, fmt.Sprintf("LookupSecret(%q)", secret), err, store.ErrNotFound)
	}
}

func foundText(f store.Found) []string {
	text := append(keyText(f.Key), fmt.Sprint("Epoch ", f.Key.Epoch))
	text = append(append(text, workspaceText(f.Workspace)...), fmt.Sprint("Epoch ", f.Workspace.Epoch))
	return append(append(text, instanceText(f.Instance)...), fmt.Sprint("Epoch ", f.Instance.Epoch))
}

func secretRules() []rule {
	return []rule{
		{
			name: "finds a key by each of its credentials",
			why:  "LookupSecret is Lookup for the key that has a credential with the given id, also a public key or a trust: the caller checks the kind. It returns the same record and settings.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-b", "key-2"), newKey("team-a", "key-3"))
				wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1", "p1-key-1", "t1-key-1")
				wantOwner(t, s, "key-2", "s1-key-2", "s2-key-2", "p1-key-2", "t1-key-2")
				found, err := s.Secrets.LookupSecret(background, "s2-key-1")
				must(t, "LookupSecret", err)
				equalKey(t, "key", found.Key, newKey("team-a", "key-1"))
				equalText(t, "workspace never saved", workspaceText(found.Workspace), workspaceText(store.Workspace{ID: "team-a", Keys: 2}))
				equalText(t, "instance never saved", instanceText(found.Instance), instanceText(store.Instance{}))
			},
		},
		{
			name: "finds disabled and expired keys and secrets",
			why:  "An expired or disabled key is returned like any other, and by an expired secret, too: drivers decide nothing.",
			run: func(t tester, s store.Store) {
				disabled, expired, secret := newKey("team-a", "key-1"), newKey("team-a", "key-2"), newKey("team-a", "key-3")
				disabled.Disabled = true
				expired.NotAfter, secret.Credentials[0].NotAfter = noon.AddDate(-20, 0, 0), noon.AddDate(-20, 0, 0)
				create(t, s, disabled, expired, secret)
				wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1")
				wantOwner(t, s, "key-2", "s1-key-2", "s2-key-2")
				wantOwner(t, s, "key-3", "s1-key-3", "s2-key-3")
			},
		},
		{
			name: "returns the settings of the key",
			why:  "LookupSecret returns the key's settings as they are now, in one read.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"), newKey("team-b", "key-2"))
				wantOwner(t, s, "key-1", "s1-key-1")
				w := store.Workspace{ID: "team-a", Suspended: true, Rules: someRules(), Updated: noon}
				must(t, "SetWorkspace", s.Settings.SetWorkspace(background, w, store.Change{RevokeTokens: true}))
				in := store.InstanceSettings{Instance: store.Instance{DirectOff: true, Rules: someRules(), Updated: noon}}
				must(t, "SetInstance", s.Settings.SetInstance(background, in, store.Change{RevokeTokens: true}))
				wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1")
				wantOwner(t, s, "key-2", "s1-key-2")
				found, err := s.Secrets.LookupSecret(background, "s1-key-1")
				must(t, "LookupSecret", err)
				equal(t, "Suspended", found.Workspace.Suspended, true)
				equal(t, "DirectOff", found.Instance.DirectOff, true)
			},
		},
		{
			name: "an unknown id is ErrNotFound",
			why:  "An id that no credential has is ErrNotFound, whatever text it is: a client sends the secret from which it is made, and a backup holds any id.",
			run: func(t tester, s store.Store) {
				wantNoOwner(t, s, "s1-key-1")
				create(t, s, newKey("team-a", "key-1"), keyWith("team-a", "key-2"))
				wantNoOwner(t, s, "", "none", "key-1", "s1", "s1-key-", "s1-key-11", "S1-key-1", "s1-key-1 ", " s1-key-1", "s1-key-1\n", "s1-key-1\x00", "\x00", "s1-key-1\x00x",
					"s1-key-\xff", "\xff\xfe", "s1-key-1\u0301", "*", "s1*", "s1%", "s1_key_1", "s1-key-1' OR '1'='1", strings.Repeat("x", 256), "s1-key-1"+strings.Repeat(" ", 10_000), strings.Repeat("\u00e9", 5000))
				wantOwner(t, s, "key-1", "s1-key-1")
			},
		},
		{
			name: "ids are compared byte by byte",
			why:  "Ids of secrets that differ in case, accents or trailing space are different ids, up to 255 bytes. Keys may have them side by side.",
			run: func(t tester, s store.Store) {
				long := strings.Repeat("x", 254)
				ids := []string{"id", "Id", "ID", "\u00efd", "id ", " id", "i\u0308d", "i_", "i%", "i*", long + "1", long + "2", long}
				for i, id := range ids {
					create(t, s, keyWith("team-a", fmt.Sprint("key-", i), id))
				}
				for i, id := range ids {
					wantOwner(t, s, fmt.Sprint("key-", i), id)
				}
			},
		},
		{
			name: "returns a copy",
			why:  "Records are copied out: a caller may change what it got.",
			run: func(t tester, s store.Store) {
				create(t, s, newKey("team-a", "key-1"))
				found, err := s.Secrets.LookupSecret(background, "s1-key-1")
				must(t, "LookupSecret", err)
				scribble(&found.Key)
				wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1")
				found, err = s.Secrets.LookupSecret(background, "s1-key-1")
				must(t, "LookupSecret", err)
				equalKey(t, "key", found.Key, newKey("team-a", "key-1"))
			},
		},
		{
			name: "a rotation adds and removes",
			why:  "Once Update has returned, the key is found by the secrets that it has now, and by no others. A key may get back a secret that it had.",
			run: func(t tester, s store.Store) {
				k := keyWith("team-a", "key-1", "first", "second")
				create(t, s, k)
				set := func(secrets ...string) {
					k.Credentials = keyWith("", "", secrets...).Credentials
					update(t, s, k)
					k.Version++
				}
				set("second", "third")
				wantOwner(t, s, "key-1", "second", "third")
				wantNoOwner(t, s, "first")
				set()
				wantNoOwner(t, s, "first", "second", "third")
				set("first")
				wantOwner(t, s, "key-1", "first")
				wantNoOwner(t, s, "second", "third")
				set("fourth", "fifth", "first", "second")
				wantOwner(t, s, "key-1", "fourth", "fifth", "first", "second")
			},
		},
		{
			name: "an update keeps its own secrets",
			why:  "Only the secret of another key is in the way: an Update with secrets that the key has already passes, in any order.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k, newKey("team-a", "key-2"))
				for range 3 {
					k.Credentials[0], k.Credentials[1] = k.Credentials[1], k.Credentials[0]
					k.Credentials[0].NotAfter, k.Name = noon.Add(time.Hour), k.Name+"."
					update(t, s, k)
					k.Version++
					wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1")
				}
			},
		},
		{
			name: "uses and rewritten digests keep the secret",
			why:  "RecordUses and Rehash change the record that is found, and not how it is found.",
			run: func(t tester, s store.Store) {
				k := newKey("team-a", "key-1")
				create(t, s, k)
				must(t, "Rehash", s.Upkeep.Rehash(background, "key-1", "s1-key-1", k.Credentials[0].Digest, "better"))
				must(t, "RecordUses", s.Upkeep.RecordUses(background, []store.Use{{Key: "key-1", Credential: "s1-key-1", At: noon}}))
				wantOwner(t, s, "key-1", "s1-key-1", "s2-key-1")
				k.Credentials[0].Digest, k.Credentials[0].LastUsed, k.LastUsed = "better", noon, noon
				found, err := s.Secrets.LookupSecret(background, "s1-key-1")
				must(t, "LookupSecret", err)
				equalKey(t, "key", found.Key, k)
			},
		},
	}
}
