package oauth

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// What a token request may cost before anything is known of its sender.
const (
	maxBody       = 64 << 10
	maxParameters = 100
	bodyDeadline  = 10 * time.Second
)

// tokenRequest is the body of a login, a revocation or an introspection, with the
// client's authentication from body or header.
type tokenRequest struct {
	grantType    string
	clientID     string
	clientSecret string
	scope        string
	resource     string
	resources    int    // how often a form named one
	token        string // at revocation and introspection

	json bool
	// The following say which parameters were sent. One without a value counts as
	// not sent (RFC 6749, section 3.2).
	hasGrant, hasID, hasSecret, hasAssertion bool
	// hasNull: the JSON has null for the id or the secret.
	hasNull bool
}

// readLogin reads the request of a login.
func (s *Server) readLogin(w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer, t *tokenRequest) *refusal {
	if bad := s.readTokenRequest(w, r, buffer, t); bad != nil {
		return bad
	}
	return t.checkGrant()
}

// readTokenRequest reads the body and the client's authentication: one method
// (RFC 6749, section 2.3), parameters from the body only. buffer is for the body, and
// empty when readTokenRequest returns.
func (s *Server) readTokenRequest(w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer, t *tokenRequest) *refusal {
	held := request.HoldBody(w, r, bodyDeadline)
	if bad := s.admit(w, r); bad != nil {
		return bad
	}
	if bad := checkQuery(r.URL); bad != nil {
		return bad
	}
	kind, utf8, bad := contentType(r.Header)
	if bad != nil {
		return bad
	}
	defer empty(buffer)
	if bad := request.ReadBody(w, r, maxBody, buffer); bad != nil {
		return bad
	}
	held.Release()
	if t.json = kind == "application/json"; t.json {
		if !utf8 && !request.IsASCII(buffer.Bytes()) {
			return notUTF8()
		}
		bad = t.readJSON(buffer.Bytes())
	} else {
		text := buffer.String()
		if !utf8 && !isASCIIForm(text) {
			return notUTF8()
		}
		bad = t.readForm(text)
	}
	if bad != nil {
		return bad
	}
	return t.readBasic(r.Header)
}

// admit refuses what no endpoint that takes secrets serves, before anything
// is read.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost { // RFC 6749, section 3.2
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{Kind: answer.Method, Detail: "This endpoint takes POST requests only."}
	}
	if s.cfg.RequireTLS && r.TLS == nil { // RFC 6749, section 1.6
		return badRequest("This endpoint takes requests over TLS only.")
	}
	return nil
}

// checkGrant answers for the grant type before the client is authenticated:
// it is public which ones there are. A token is for one resource, so that none of
// them can use it against another.
func (t *tokenRequest) checkGrant() *refusal {
	switch {
	case t.resources > 1:
		return &refusal{Kind: answer.Target, Detail: "A token is for one resource; ask for one at a time."}
	case t.grantType == "client_credentials", t.json && !t.hasGrant:
		return nil
	case t.grantType == "":
		return badRequest("The parameter grant_type is missing; it must be client_credentials.")
	}
	return &refusal{Kind: answer.UnsupportedGrant}
}

// parameters are the names that mean something to a token endpoint, here or
// in an extension: none may come by the URL.
var parameters = []string{
	"grant_type", "client_id", "client_secret", "scope",
	"client_assertion", "client_assertion_type", "resource", "audience", "token", "token_type_hint",
	"clientId", "clientSecret", "grantType", "access_token", "code", "refresh_token", "username", "password", "assertion",
}

// checkQuery refuses OAuth parameters in the URL, where logs keep them
// (RFC 6749, sections 2.3.1 and 3.2).
func checkQuery(u *url.URL) *refusal {
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badRequest("The URL's query is malformed.")
	}
	for _, name := range parameters {
		if query.Has(name) {
			return badRequest("Parameters belong into the body, not into the URL.")
		}
	}
	return nil
}

// contentType reads which of the two kinds the body is, and whether in UTF-8.
func contentType(header http.Header) (kind string, utf8 bool, bad *refusal) {
	kind, utf8, ok := request.MediaType(header)
	if !ok || kind != "application/x-www-form-urlencoded" && kind != "application/json" {
		return "", false, badRequest("The Content-Type must be application/x-www-form-urlencoded or application/json, in UTF-8.")
	}
	for _, encoding := range header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return "", false, badRequest("The body may not be compressed.")
		}
	}
	return kind, utf8, nil
}

// empty leaves nothing of what a buffer held: that was a secret or a token.
func empty(b *bytes.Buffer) {
	clear(b.Bytes())
	b.Reset()
}
