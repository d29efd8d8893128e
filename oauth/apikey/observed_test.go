package apikey_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/observe"
)

// TestNoSecretIsObserved tests B11: what clients present as the id, by mistake, is
// not passed to the Observer if it may be a secret.
func TestNoSecretIsObserved(t *testing.T) {
	imported := func(c *apikey.Config) { c.Imported = true }
	prefixes := func(c *apikey.Config) { c.SecretPrefixes = []string{"new_", "lk_"} }
	for _, tc := range []struct {
		name      string
		configure func(*apikey.Config)
		id        func(key apikey.Key, secret string) string
		want      func(id string) string
	}{
		{"the key's id", nil, func(k apikey.Key, _ string) string { return k.ID }, func(id string) string { return id }},
		{"the key's id, with imported keys", imported, func(k apikey.Key, _ string) string { return k.ID }, func(id string) string { return id }},
		{"an unknown id", nil, func(apikey.Key, string) string { return "deploy-bot" }, func(string) string { return "deploy-bot" }},
		{"an unknown UUID", nil, func(apikey.Key, string) string { return "22374a23-6238-40f0-9b78-8fdfef948b03" }, func(id string) string { return id }},
		{"an unknown id, with imported keys", imported, func(apikey.Key, string) string { return "deploy-bot" }, nil},
		{"B11 the secret", nil, func(_ apikey.Key, s string) string { return s }, nil},
		{"B11 the secret under a later prefix", prefixes, func(_ apikey.Key, s string) string { return s }, nil},
		{"B11 half of the secret", nil, func(_ apikey.Key, s string) string { return s[:30] }, nil},
		{"B11 id and secret in one", nil, func(k apikey.Key, s string) string { return k.ID + ":" + s }, nil},
		{"B11 the secret within quotes", nil, func(_ apikey.Key, s string) string { return `"` + s + `"` }, nil},
		{"B11 an imported secret", imported, func(apikey.Key, string) string { return "correct horse battery" }, nil},
		{"B11 Basic credentials", nil, func(k apikey.Key, s string) string { return base64.StdEncoding.EncodeToString([]byte(k.ID + ":" + s)) }, nil},
		{"B11 the secret without its prefix", nil, func(_ apikey.Key, s string) string { return strings.TrimPrefix(s, "lk_") }, nil},
		{"a long text", nil, func(apikey.Key, string) string { return strings.Repeat("x", 37) }, nil},
		{"control characters", nil, func(apikey.Key, string) string { return "a\x1b[31m\r\nb" }, func(string) string { return "a\ufffd[31m\ufffd\ufffdb" }},
		{"nothing", nil, func(apikey.Key, string) string { return "" }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, func(c *apikey.Config) {
				if tc.configure != nil {
					tc.configure(c)
				}
			})
			key, secret := r.create(owner, "team-a", "project.list")
			id, want := tc.id(key, secret.Reveal()), ""
			if tc.want != nil {
				want = tc.want(id)
			}
			for _, sent := range []string{secret.Reveal(), apikey.MustSecret(randomFrom("wrong"), "").Reveal(), "nonsense", key.ID} {
				if id == key.ID && sent == secret.Reveal() {
					continue // that logs in
				}
				_, err := r.Authenticate(t.Context(), apikey.Credentials{ID: id, Secret: sent})
				require.Error(t, err)
				require.Equal(t, want, r.seen[len(r.seen)-1].ClientID)
			}
		})
	}
}

// TestSecretReportsAreObserved tests RevokeSecret: what it decides about the secret
// that was presented.
func TestSecretReportsAreObserved(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(owner, "team-a", "project.list")
	wrong := apikey.MustSecret(randomFrom("wrong"), "").Reveal()
	require.Error(t, r.RevokeSecret(t.Context(), apikey.Credentials{ID: key.ID, Secret: wrong, Address: addrA}))
	require.NoError(t, r.RevokeSecret(t.Context(), apikey.Credentials{ID: key.ID, Secret: secret.Reveal(), Address: addrA}))
	require.Equal(t, []observe.Decision{
		{Time: noon, Use: observe.SecretRevocation, Reason: "unknown_or_wrong", ClientID: key.ID, Address: addrA},
		{Time: noon, Use: observe.SecretRevocation, ClientID: key.ID, KeyID: key.ID, Workspace: "team-a", CredentialID: key.Credentials[0].ID, Address: addrA},
	}, r.seen)
}
