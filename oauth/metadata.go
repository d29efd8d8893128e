package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
)

const metadataMaxAge = time.Hour

// Metadata returns the handler of the authorization server metadata (RFC
// 8414). Its URLs come from Config alone, never from a request.
func (s *Server) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.metadata.serve(w, r, metadataMaxAge)
	})
}

// JWKS returns the handler of the public signing keys (RFC 7517). A key is in
// it from before its first use until the last token it signed has expired.
func (s *Server) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		newDocument(s.ring.JWKS(r.Context())).serve(w, r, signing.MaxAge)
	})
}

// Authorization returns an authorization endpoint that knows no response type
// (RFC 6749, section 4.1.2.1), whatever it is asked. It never redirects: no
// client of this server has a redirect URI.
func (s *Server) Authorization() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(r.Context(), w, &refusal{Kind: answer.UnsupportedResponse})
	})
}

// urlOf returns the URL of a path, or nothing where there is none.
func (p paths) urlOf(path string) string {
	if path == "" {
		return ""
	}
	return p.origin + path
}

// describe writes the metadata document. Arrays without elements are left out
// (RFC 8414, section 3.2), but for response_types_supported, which section 2
// requires: a server without an authorization endpoint has none to name, and
// clients are more often stopped by a missing member than by an empty one.
func (s *Server) describe() (document, error) {
	methods := []string{"client_secret_basic", "client_secret_post"}
	body, err := json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		Authorization string   `json:"authorization_endpoint,omitempty"`
		TokenEndpoint string   `json:"token_endpoint"`
		JWKSURI       string   `json:"jwks_uri"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		ResponseTypes []string `json:"response_types_supported"`
		GrantTypes    []string `json:"grant_types_supported"`
		AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`

		Revocation           string   `json:"revocation_endpoint"`
		RevocationMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
		Introspection        string   `json:"introspection_endpoint"`
		IntrospectionMethods []string `json:"introspection_endpoint_auth_methods_supported"`
		Resources            []string `json:"protected_resources,omitempty"` // RFC 9728, section 4
	}{
		Issuer:        s.cfg.Issuer,
		Authorization: s.paths.urlOf(s.paths.authorization),
		TokenEndpoint: s.paths.origin + s.paths.token,
		JWKSURI:       s.paths.origin + s.paths.jwks,
		Scopes:        s.cfg.Permissions.All().Names(),
		ResponseTypes: []string{},
		GrantTypes:    []string{"client_credentials"},
		AuthMethods:   methods,

		Revocation:           s.paths.origin + s.paths.revocation,
		RevocationMethods:    methods,
		Introspection:        s.paths.origin + s.paths.introspection,
		IntrospectionMethods: methods,
		Resources:            s.cfg.protectedResources(),
	})
	if err != nil {
		return document{}, fmt.Errorf("metadata: %w", err)
	}
	return newDocument(append(body, '\n')), nil
}

// document is a public answer that is made once and served often.
type document struct {
	body []byte
	etag string
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// serve answers GET and HEAD.
func (d document) serve(w http.ResponseWriter, r *http.Request, maxAge time.Duration) {
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", d.etag)
	if d.matches(r.Header.Values("If-None-Match")) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(d.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(d.body) //nolint:errcheck // the client is gone; nobody to tell
	}
}

// matches compares weakly, as RFC 9110, section 13.1.2, asks for.
func (d document) matches(lists []string) bool {
	for _, list := range lists {
		for tag := range strings.SplitSeq(list, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == d.etag {
				return true
			}
		}
	}
	return false
}
