package oauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/oauth"
)

// FuzzLeakReport tests that a signed body either is refused, or is read as
// encoding/json reads it: each token of it has a label, under its hash.
func FuzzLeakReport(f *testing.F) {
	l := newLeaks(f, nil)
	for _, seed := range []string{
		reportOf("x"), reportOf(l.secret), `[]`, `[{"token":"x"},{"token":"x"}]`, `[{"token":"x","token":"y"}]`, `{}`, `[{"token":"\u0078","url":null}]`, `[[]]`, `[{"token":"x","Type":1}]`, "[{\"token\":\"\xff\"}]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		there := *l
		there.world = l.at(t)
		a := there.report(body)
		switch a.StatusCode {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			return
		case http.StatusOK:
		default:
			t.Fatalf("%d %s", a.StatusCode, a.Body)
		}
		var sent []struct{ Token, Type string }
		var labels []struct {
			Hash string `json:"token_hash"`
			Type string `json:"token_type"`
		}
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		if err := json.Unmarshal([]byte(a.Body), &labels); err != nil {
			t.Fatal(err)
		}
		want, got := map[string]bool{}, map[string]bool{}
		for _, s := range sent {
			want[hashOf(s.Token)+s.Type] = true
		}
		for _, l := range labels {
			got[l.Hash+l.Type] = true
			if !want[l.Hash+l.Type] {
				t.Fatalf("a label for what was not sent: %s", a.Body)
			}
		}
		if len(got) != len(want) || strings.Contains(a.Body, l.secret) {
			t.Fatalf("%d labels for %d tokens: %s", len(got), len(want), a.Body)
		}
	})
}

// FuzzLeakKeys tests that each key that is read from a document can verify a report.
func FuzzLeakKeys(f *testing.F) {
	s := newScanner(f)
	for _, seed := range []string{s.document("k1", &s.key.PublicKey), s.document("a", "x", "a", "y"), `{"public_keys":[]}`, `{}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := oauth.ParseLeakKeys(document)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for id, key := range keys {
			if public, ok := key.Key.(*ecdsa.PublicKey); id == "" || key.ID != id || !ok || public.Curve != elliptic.P256() {
				t.Fatalf("%q: %v", id, key)
			}
		}
	})
}
