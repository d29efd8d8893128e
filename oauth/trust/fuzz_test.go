package trust_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// FuzzMatch compares Find with a plain reading of the rules: an identity is accepted
// only if each claim of the trust is a JSON string in it, equal or below a wildcard that
// Check accepts.
func FuzzMatch(f *testing.F) {
	w := newWorld(f)
	l := w.list()
	f.Add("ref", "refs/heads/*", `"refs/heads/main"`)
	f.Add("ref", "refs/heads/main", `"refs/heads/m\u0061in"`)
	f.Add("ref", "a:b/*", `"a:b/c/d"`)
	f.Add("project", "42", `42`)
	f.Add("event", "push", `null`)
	f.Add("other", "", `""`)
	f.Fuzz(func(t *testing.T, name, want, value string) {
		paths := map[string]string{"project": "project_id", "ref": "ref", "event": "event"}
		if !json.Valid([]byte(value)) || len(value) > 1000 {
			return
		}
		claims := `{"iss":"` + issuer + `","sub":"job","aud":"` + audience + `","iat":1800000000,"exp":1800000600`
		if path, ok := paths[name]; ok {
			claims += `,"` + path + `":` + value
		}
		given := trusts("ci", name, want)
		_, identity, err := find(t.Context(), l, w.signer.sign(t, `{"alg":"ES256","kid":"k1"}`, claims+"}"), []store.Trust{given})
		if err != nil {
			if !errors.Is(err, trust.ErrRefused) || strings.Contains(err.Error(), issuer) {
				t.Fatal(err)
			}
			return
		}
		text, ok := identity.Claims()[paths[name]].(string)
		var plain string
		if !ok || json.Unmarshal([]byte(value), &plain) != nil || plain != text {
			t.Fatalf("%s is no text", value)
		}
		if text == want {
			return
		}
		segments := strings.FieldsFunc(strings.TrimSuffix(want, "*"), func(r rune) bool { return r == '/' || r == ':' })
		if name != "ref" || len(segments) < 2 || !slices.Contains([]string{"/*", ":*"}, want[max(0, len(want)-2):]) ||
			!strings.HasPrefix(text, want[:len(want)-1]) || len(text) < len(want) {
			t.Fatalf("%q accepts %q", want, text)
		}
	})
}

// FuzzFind: whatever the token is, only the issuer's own signature makes it an identity.
func FuzzFind(f *testing.F) {
	w := newWorld(f)
	l := w.list()
	good := w.token()
	f.Add(good)
	f.Add(good + "A")
	f.Add("e30.e30.")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		at, identity, err := find(t.Context(), l, token, []store.Trust{w.trust})
		if err == nil && (token != good || at != 0 || identity.Subject != "job") {
			t.Fatalf("%q is accepted", token)
		}
		if err != nil && (!errors.Is(err, trust.ErrRefused) || len(err.Error()) > 200) {
			t.Fatal(err)
		}
	})
}
