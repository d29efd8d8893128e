package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
)

const metadataMaxAge = time.Hour

// Metadata returns the handler of the authorization server metadata (RFC 8414). Its
// URLs come from Config alone, never from a request.
func (s *Server) Metadata() http.Handler {
	return s.document(s.metadata)
}

func (s *Server) document(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveDocument(w, r, body, metadataMaxAge)
	})
}

// ResourceMetadata returns the handler of the protected resource metadata (RFC
// 9728) of Config.Resource, to which the guards' challenges point. It answers 404
// if Config.Resource is empty.
func (s *Server) ResourceMetadata() http.Handler {
	if s.cfg.Resource == "" {
		return http.NotFoundHandler()
	}
	return s.document(toJSON(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported,omitempty"`
		Methods  []string `json:"bearer_methods_supported"` // what package bearer accepts
	}{s.cfg.Resource, []string{s.cfg.Issuer}, s.cfg.Permissions.All().Names(), []string{"header"}}))
}

// JWKS returns the handler of the public signing keys (RFC 7517). Config.RotateEvery
// and RevokeSigningKeys say when a key that the server makes is published. The public
// keys of Config.Signers are published as long as they are listed.
func (s *Server) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serveDocument(w, r, s.ring.JWKS(r.Context()), signing.MaxAge)
	})
}

// Authorization returns an authorization endpoint that refuses every request, since
// it supports no response type (RFC 6749, section 4.1.2.1). It never redirects: no
// client of this server has a redirect URI.
func (s *Server) Authorization() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.host.BoundBody(w, r, bodyDeadline)
		s.refuse(r.Context(), w, &refusal{Kind: answer.UnsupportedResponse})
	})
}

// metadataJSON returns the metadata document, with two more members if it is for the
// OpenID alias. Empty arrays are left out (RFC 8414, section 3.2), except
// response_types_supported: section 2 requires it, and more clients fail on a missing
// member than on an empty one.
func (s *Server) metadataJSON(openID bool) []byte {
	methods := []string{"client_secret_basic", "client_secret_post", "private_key_jwt"}
	signed := publishedAlgorithms() // those of apikey.CredentialSpec.PublicKey
	resources := s.cfg.resourceURIs()
	if s.cfg.Resource != "" {
		resources = append([]string{s.cfg.Resource}, resources...)
	}
	authorization := ""
	if s.cfg.AuthorizationPath != "" {
		authorization = s.paths.origin + s.cfg.AuthorizationPath
	}
	var algorithms, subjects []string
	if openID {
		// Some verifiers read this once, at their start. So that a later key of another
		// algorithm does not break them, it names all algorithms.
		algorithms, subjects = publishedAlgorithms(), []string{"public"}
	}
	return toJSON(struct {
		Issuer        string   `json:"issuer"`
		Authorization string   `json:"authorization_endpoint,omitempty"`
		TokenEndpoint string   `json:"token_endpoint"`
		JWKSURI       string   `json:"jwks_uri"`
		Scopes        []string `json:"scopes_supported,omitempty"`
		ResponseTypes []string `json:"response_types_supported"`
		GrantTypes    []string `json:"grant_types_supported"`
		AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
		AuthAlgs      []string `json:"token_endpoint_auth_signing_alg_values_supported"`

		Revocation           string   `json:"revocation_endpoint"`
		RevocationMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
		RevocationAlgs       []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
		Introspection        string   `json:"introspection_endpoint"`
		IntrospectionMethods []string `json:"introspection_endpoint_auth_methods_supported"`
		IntrospectionAlgs    []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
		Resources            []string `json:"protected_resources,omitempty"` // RFC 9728, section 4

		// OpenID Connect Discovery 1.0, section 3. Without it, go-oidc accepts only RS256.
		Algorithms []string `json:"id_token_signing_alg_values_supported,omitempty"`
		Subjects   []string `json:"subject_types_supported,omitempty"`
	}{
		Issuer:        s.cfg.Issuer,
		Authorization: authorization,
		TokenEndpoint: s.paths.origin + s.cfg.TokenPath,
		JWKSURI:       s.paths.origin + s.paths.jwks,
		Scopes:        s.cfg.Permissions.All().Names(),
		ResponseTypes: []string{},
		GrantTypes:    []string{"client_credentials"},
		AuthMethods:   methods,
		AuthAlgs:      signed,

		Revocation:           s.paths.origin + s.cfg.RevocationPath,
		RevocationMethods:    methods,
		RevocationAlgs:       signed,
		Introspection:        s.paths.origin + s.cfg.IntrospectionPath,
		IntrospectionMethods: methods,
		IntrospectionAlgs:    signed,
		Resources:            resources,

		Algorithms: algorithms,
		Subjects:   subjects,
	})
}

// publishedAlgorithms returns the algorithms of keys that have a public half.
func publishedAlgorithms() []string {
	return []string{string(jose.ES256), string(jose.EdDSA), string(jose.RS256), string(jose.PS256)}
}

// toJSON returns content as a line of JSON.
func toJSON(content any) []byte {
	body, _ := json.Marshal(content) //nolint:errcheck // texts, numbers and booleans can always be encoded
	return append(body, '\n')
}

// serveDocument answers GET and HEAD with a document, or with 304 if If-None-Match
// names it. It ignores other conditional headers and ranges: the response may be kept
// by a shared cache, which would send one client's 412 to all others.
func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request, body []byte, maxAge time.Duration) {
	s.host.BoundBody(w, r, bodyDeadline)
	header := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	sum := sha256.Sum256(body)
	header.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:12])+`"`)
	header.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge/time.Second)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Type", "application/json")
	conditional := &http.Request{Method: r.Method, Header: http.Header{"If-None-Match": r.Header["If-None-Match"]}}
	http.ServeContent(w, conditional, "", time.Time{}, bytes.NewReader(body))
}
