package bearer_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// FuzzBearerHeader: the handler runs only if the header is "Bearer" in any case,
// one or more spaces, and the token. Every refusal is one of three answers, with
// a challenge on one line.
func FuzzBearerHeader(f *testing.F) {
	w := newWorld(f)
	token := w.token()
	ran := false
	handler := w.verifier().Require("project.list").AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
	for _, seed := range []string{"", "Bearer", "Bearer ", "Bearer " + token, "bearer  " + token, "Bearer\t" + token, "Bearer " + token + ",", "Basic x", "Bearer a.b.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ran = false
		request := httptest.NewRequest("GET", "/", nil)
		request.Header["Authorization"] = []string{header}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		scheme, rest, _ := strings.Cut(header, " ")
		if good := strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(rest, " ") == token; ran != good {
			t.Fatalf("ran = %v for %q", ran, header)
		}
		if ran {
			return
		}
		challenge := answer.Header().Get("WWW-Authenticate")
		if answer.Code != 400 && answer.Code != 401 || !strings.HasPrefix(challenge, bare) || strings.ContainsAny(challenge, "\r\n\x00") {
			t.Fatalf("%d, %q for %q", answer.Code, challenge, header)
		}
	})
}

// FuzzVerify: an accepted token was signed and names its key, and is accepted
// again with the same principal.
func FuzzVerify(f *testing.F) {
	w := hmacWorld(f)
	v := w.verifier()
	good := claims()
	f.Add(string(jose.AppendClaims(nil, &good)))
	f.Add(`{"exp":1e300}`)
	f.Fuzz(func(t *testing.T, payload string) {
		token, err := w.signer.Sign([]byte(payload))
		if err != nil {
			return
		}
		p, err := v.Verify(context.Background(), token)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if err != nil {
			return
		}
		if p.Workspace == "" || p.KeyID == "" || p.TokenID == "" || !p.Expires.After(start) {
			t.Fatalf("%+v", p)
		}
		if again, err := v.Verify(context.Background(), token); err != nil || again != p {
			t.Fatalf("the second time: %v, %v", again, err)
		}
		if _, err := v.Verify(context.Background(), token[:len(token)-1]); err == nil {
			t.Fatal("a truncated token was accepted")
		}
	})
}
