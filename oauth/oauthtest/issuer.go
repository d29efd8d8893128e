package oauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
)

// Issuer is an issuer of identities for one test, in place of GitHub Actions, GitLab or a
// Kubernetes cluster. It serves its metadata and its keys on a free loopback port, and is
// closed at the end of the test. It is safe for concurrent use, but for its fields.
//
//	issuer := oauthtest.NewIssuer(t)
//	auth := oauthtest.NewWith(t, oauth.Config{
//		Permissions:    catalog,
//		TrustedIssuers: []trust.Issuer{issuer.Entry(trust.GitHubActions())},
//	})
//	job := issuer.GitHubActions(auth.URL)
//	job.Claims["environment"] = "staging"
//	token, err := auth.LoginWithAssertion(t, key.ID, issuer.Sign(t, job))
type Issuer struct {
	// URL is the issuer identifier, which is the iss claim. A test that serves the Issuer
	// itself sets it to the URL of its own server. Over TLS the entry then needs Private,
	// Ports and RootCAs, too.
	URL string
	// Clock is the time of new identities. It starts as the clock of a Server does. To
	// move both at once, set it to Server.Clock.
	Clock *Clock

	web     *httptest.Server
	closing chan struct{} // ends requests that hang

	mu             sync.Mutex
	keys           []signingKey // the first signs
	made           int          // keys so far
	instead        http.Handler // answers in place of the documents, unless nil
	metadata, sets int          // requests
}

// signingKey is a key of an Issuer.
type signingKey struct {
	private crypto.Signer
	public  jose.PublicKey
}

// Identity is a JWT before it is signed. Both maps are for the test to change.
type Identity struct {
	// Header is added to the parameters alg and kid, which Sign sets. A parameter that is
	// nil is left out, also alg or kid.
	Header map[string]any
	Claims map[string]any
}

// NewIssuer starts an issuer with a key for RS256, the algorithm of most issuers.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := &Issuer{Clock: newClock(), closing: make(chan struct{})}
	i.Rotate(t, "RS256")
	i.web = httptest.NewServer(i)
	i.URL = i.web.URL
	t.Cleanup(i.web.Close)
	t.Cleanup(func() { close(i.closing) })
	return i
}

// Entry returns the entry with this issuer in place of its own. Its keys are found by
// discovery, on loopback. The server's Config.InsecureLoopback must be true, as NewWith
// sets it if Config.Issuer is empty.
//
// To test an entry with a static key set, do not call Entry: set the entry's JWKS to
// i.JWKS(), and i.URL to the entry's Issuer.
func (i *Issuer) Entry(e trust.Issuer) trust.Issuer {
	e.Issuer, e.JWKS, e.JWKSURL = i.URL, nil, ""
	return e
}

// Rotate makes a new key for RS256 or ES256, which signs from now on. The keys before it
// stay published until RemoveOldKeys.
func (i *Issuer) Rotate(t testing.TB, algorithm string) {
	t.Helper()
	var key signingKey
	var err error
	switch algorithm {
	case "RS256":
		key.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("the algorithm %q is neither RS256 nor ES256", algorithm)
	}
	if err != nil {
		t.Fatalf("oauthtest: Issuer.Rotate: %v", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	key.public = jose.PublicKey{ID: fmt.Sprintf("key-%d", i.made), Algorithm: jose.Algorithm(algorithm), Key: key.private.Public()}
	i.keys = append([]signingKey{key}, i.keys...)
}

// RemoveOldKeys stops publishing all keys but the newest.
func (i *Issuer) RemoveOldKeys() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = i.keys[:1]
}

// JWKS returns the published keys, for an entry with a static key set.
func (i *Issuer) JWKS() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	public := make([]jose.PublicKey, len(i.keys))
	for at, key := range i.keys {
		public[at] = key.public
	}
	document, _ := jose.MarshalKeySet(public) // Rotate makes only keys that can be published
	return document
}

// Respond answers all requests with h, such as an error or a redirect. Nil serves the
// metadata and the keys again.
func (i *Issuer) Respond(h http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instead = h
}

// Down answers all requests with 503 until the next call of Respond.
func (i *Issuer) Down() {
	i.Respond(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
}

// Hang answers no request until the test ends or the client gives up.
func (i *Issuer) Hang() {
	i.Respond(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-i.closing:
		case <-r.Context().Done():
		}
	}))
}

// Fetches returns how many requests for the metadata and for the keys have come.
func (i *Issuer) Fetches() (metadata, keys int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.metadata, i.sets
}

// ServeHTTP serves the metadata (OpenID Connect Discovery 1.0, section 4) and the keys.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	instead := i.instead
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		i.metadata++
	case "/keys":
		i.sets++
	}
	i.mu.Unlock()
	switch {
	case instead != nil:
		instead.ServeHTTP(w, r)
	case r.URL.Path == "/keys":
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.JWKS())
	case r.URL.Path == "/.well-known/openid-configuration":
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": i.URL, "jwks_uri": i.URL + "/keys", "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256", "ES256"},
		})
	default:
		http.NotFound(w, r)
	}
}

// Sign signs an identity with the newest key.
func (i *Issuer) Sign(t testing.TB, id Identity) string {
	t.Helper()
	i.mu.Lock()
	key := i.keys[0]
	i.mu.Unlock()
	header := map[string]any{"alg": key.public.Algorithm, "kid": key.public.ID}
	for name, value := range id.Header {
		if header[name] = value; value == nil {
			delete(header, name)
		}
	}
	token, err := signJWT(key.private, header, id.Claims)
	if err != nil {
		t.Fatalf("oauthtest: Issuer.Sign: %v", err)
	}
	return token
}

// signJWT signs by RS256 or ES256 (RFC 7518, sections 3.3 and 3.4).
func signJWT(key crypto.Signer, header, claims map[string]any) (string, error) {
	var parts [2]string
	for at, part := range []map[string]any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts[at] = base64.RawURLEncoding.EncodeToString(text)
	}
	signed := parts[0] + "." + parts[1]
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	if private, ok := key.(*ecdsa.PrivateKey); ok {
		r, s, failed := ecdsa.Sign(rand.Reader, private, digest[:])
		if failed != nil {
			return "", failed
		}
		signature = make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	} else if signature, err = key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
