package oauth

import (
	"bytes"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Bounds of a token request, whose sender is not authenticated yet.
const (
	maxBody       = 64 << 10
	maxParameters = 100
	bodyDeadline  = 10 * time.Second
)

// tokenRequest is a login, revocation, introspection or self-revocation request, with the client's
// authentication from the body or the header. A parameter without a value counts as
// not sent (RFC 6749, section 3.2).
type tokenRequest struct {
	grantType     string
	clientID      string
	clientSecret  string
	scope         string
	resource      string
	resources     int    // number of resource parameters with a value
	token         string // at revocation and introspection
	assertion     string // client_assertion
	assertionType string
	json          bool
	alone         bool   // the request has the parameter secret, and no authentication
	secret        string // of SelfRevocation
}

// readLogin reads a login request. It checks the grant type before the client is
// authenticated, since the supported types are public. It allows one resource per
// token, so that no resource server can use a token at another one.
func (s *Server) readLogin(w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer, t *tokenRequest) *refusal {
	bad := s.readTokenRequest(w, r, buffer, t)
	switch {
	case bad != nil:
		return bad
	case t.resources > 1:
		return &refusal{Kind: answer.Target, Detail: "A token is for one resource; request one at a time."}
	case t.grantType == "":
		return badRequest("The parameter grant_type is missing; it must be client_credentials.")
	case t.grantType != "client_credentials":
		return &refusal{Kind: answer.UnsupportedGrant}
	}
	return nil
}

// readTokenRequest reads the body and the client's authentication. It allows one
// authentication method (RFC 6749, section 2.3), and parameters in the body only.
// It reads the body into buffer, and wipes buffer before it returns.
func (s *Server) readTokenRequest(w http.ResponseWriter, r *http.Request, buffer *bytes.Buffer, t *tokenRequest) *refusal {
	arrival := s.host.BoundBody(w, r, bodyDeadline)
	if bad := s.admit(w, r); bad != nil {
		return bad
	}
	kind, utf8, bad := contentType(r.Header)
	if bad != nil {
		return bad
	}
	defer wipe(buffer)
	if bad := s.host.ReadBody(w, r, maxBody, buffer); bad != nil {
		return bad
	}
	arrival.Release()
	t.json = kind == "application/json"
	switch {
	case !utf8 && (!request.IsASCII(buffer.Bytes()) || !t.json && escapesNonASCII(buffer.Bytes())):
		bad = badRequest("A body that is not ASCII must be in UTF-8, and the Content-Type must not name another charset.")
	case t.json:
		bad = t.readJSON(buffer.Bytes())
	default:
		bad = t.readForm(buffer.String())
	}
	if bad != nil || t.alone {
		return bad
	}
	return t.readBasic(r.Header)
}

// refusedInURL are the names that admit refuses in the URL: parameters of OAuth and its
// extensions, and the other spellings that a JSON login may use.
var refusedInURL = []string{
	"grant_type", "client_id", "client_secret", "scope",
	"client_assertion", "client_assertion_type", "resource", "audience", "token", "token_type_hint", "secret",
	"clientId", "clientSecret", "grantType", "access_token", "code", "refresh_token", "username", "password", "assertion",
}

// admit checks the method, TLS and the URL before the body is read. It refuses
// OAuth parameters in the URL, since URLs end up in logs (RFC 6749, sections 2.3.1
// and 3.2).
func (s *Server) admit(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost { // RFC 6749, section 3.2
		w.Header().Set("Allow", http.MethodPost)
		return &refusal{Kind: answer.Method, Detail: "This endpoint accepts POST requests only."}
	}
	if s.cfg.RequireTLS && r.TLS == nil { // RFC 6749, section 1.6
		return badRequest("This endpoint accepts requests over TLS only.")
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("The URL's query is malformed; leave it out.")
	}
	if slices.ContainsFunc(refusedInURL, query.Has) {
		return badRequest("Parameters must be in the body, not in the URL.")
	}
	return nil
}

// contentType returns the media type of the body, and whether its charset is UTF-8.
func contentType(header http.Header) (kind string, utf8 bool, bad *refusal) {
	kind, utf8, ok := request.MediaType(header)
	if !ok || kind != "application/x-www-form-urlencoded" && kind != "application/json" {
		return "", false, badRequest("The Content-Type must be application/x-www-form-urlencoded or application/json, in UTF-8.")
	}
	for _, encoding := range header["Content-Encoding"] {
		if encoding != "" && !strings.EqualFold(encoding, "identity") {
			return "", false, badRequest("The body must not be compressed; send it without Content-Encoding.")
		}
	}
	return kind, utf8, nil
}

// escapesNonASCII reports whether a form has escapes of bytes that are not ASCII. What
// they mean depends on the charset that the request names.
func escapesNonASCII(body []byte) bool {
	for i := range len(body) - 1 {
		if body[i] == '%' && body[i+1] > '7' {
			return true
		}
	}
	return false
}

// readForm parses application/x-www-form-urlencoded. It refuses everything that
// another parser could read differently: a repeated parameter (RFC 6749, section
// 3.2), a semicolon, a broken escape, invalid UTF-8, a NUL.
func (t *tokenRequest) readForm(body string) *refusal {
	var array [8]string // enough for most requests
	seen := array[:0]
	for pairs := 0; body != ""; pairs++ {
		if pairs == maxParameters {
			return badRequest("There are more than " + strconv.Itoa(maxParameters) + " parameters; send only those of this endpoint.")
		}
		var pair string
		pair, body, _ = strings.Cut(body, "&")
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, goodName := request.Unescape(rawName)
		value, goodValue := request.Unescape(rawValue)
		switch {
		case !goodName || !goodValue || strings.Contains(pair, ";"):
			return badRequest("A parameter is not correctly encoded. Percent-encode names and values in UTF-8, also a semicolon, and send no NUL character.")
		case slices.Contains(seen, name) && name != "resource": // RFC 8707, section 2
			return badRequest("A parameter is repeated; send each one once.")
		}
		seen = append(seen, name)
		t.set(name, value)
	}
	return nil
}

// jsonNames are the members of a JSON login that readJSON reads.
var jsonNames = []string{
	"grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type", "resource",
	"grantType", "clientId", "clientSecret",
}

// readJSON parses a JSON login. Without a grant_type it means client_credentials. Three
// names may be written in camel case, and null means that a member is absent.
func (t *tokenRequest) readJSON(body []byte) *refusal {
	t.grantType = "client_credentials"
	names := jsonNames
	if t.alone {
		names = []string{"secret"}
	}
	members, err := strictjson.Members(body, names)
	if err != nil {
		var fault *strictjson.Error
		if errors.As(err, &fault) {
			return badRequest("The body is not one well-formed JSON object: " + fault.Reason + ".")
		}
		return badRequest("The body is not one well-formed JSON object.")
	}
	for _, pair := range [][2]string{{"grantType", "grant_type"}, {"clientId", "client_id"}, {"clientSecret", "client_secret"}} {
		at := slices.IndexFunc(members, func(m strictjson.Member) bool { return m.Name == pair[0] })
		if at < 0 {
			continue
		}
		if _, both := members.Get(pair[1]); both {
			return badRequest("The members " + pair[0] + " and " + pair[1] + " are the same parameter; send one of them.")
		}
		members[at].Name = pair[1]
	}
	for _, member := range members {
		if !slices.Contains(names, member.Name) || string(member.Value) == "null" {
			continue
		}
		value, err := strictjson.String(member.Value)
		if err != nil || strings.Contains(value, "\x00") {
			return badRequest("The member " + member.Name + " must be a string without NUL characters.")
		}
		t.set(member.Name, value)
	}
	return nil
}

func (t *tokenRequest) set(name, value string) {
	switch name {
	case "grant_type":
		t.grantType = value
	case "client_id":
		t.clientID = value
	case "client_secret":
		t.clientSecret = value
	case "scope":
		t.scope = value
	case "resource":
		if value != "" {
			t.resource = value
			t.resources++
		}
	case "token":
		t.token = value
	case "secret":
		t.secret = value
	case "client_assertion":
		t.assertion = value
	case "client_assertion_type":
		t.assertionType = value
	}
}

// jwtBearer is the client_assertion_type of a JWT (RFC 7523, section 2.2).
const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" //nolint:gosec // no credential

// credentials returns what the client authenticates with.
func (t *tokenRequest) credentials(address netip.Addr) apikey.Credentials {
	return apikey.Credentials{ID: t.clientID, Secret: t.clientSecret, Assertion: t.assertion, Address: address}
}

// readBasic reads client_secret_basic (RFC 6749, section 2.3.1), checks that an assertion
// is of the supported type (RFC 7521, section 4.2), and refuses a second authentication
// method. An Authorization header of another scheme, which a proxy may have added, does
// not count as a method.
func (t *tokenRequest) readBasic(header http.Header) *refusal {
	credentials, err := request.Credentials(header, "Basic")
	basic, inBody, assertion := !errors.Is(err, request.ErrAbsent), t.clientSecret != "", t.assertion+t.assertionType != ""
	switch {
	case basic && inBody, basic && assertion, inBody && assertion:
		return badRequest("The client uses more than one authentication method; send its secret with Basic or in the body, or a client_assertion.")
	case assertion && t.assertionType != jwtBearer:
		return badRequest("The client_assertion_type must be " + jwtBearer + ".")
	case assertion && t.assertion == "":
		return badRequest("The parameter client_assertion is missing.")
	case !basic && !inBody && !assertion && header.Get("Authorization") != "":
		return &refusal{Kind: answer.Refused, Detail: "The client must authenticate with Basic, with client_id and client_secret in the body, or with a client_assertion."}
	case !basic:
		return nil
	}
	id, secret, ok := request.ParseBasic(credentials)
	switch {
	case err != nil || !ok:
		return badRequest("The Basic credentials are malformed, or there are two Authorization headers. Send one header, with the Base64 form of client_id:client_secret, each percent-encoded first.")
	case t.clientID != "" && t.clientID != id:
		return badRequest("The client_id in the body differs from that of the Basic credentials; leave it out of the body.")
	}
	t.clientID, t.clientSecret = id, secret
	return nil
}

// wipe overwrites and resets a buffer that held a secret or a token.
func wipe(b *bytes.Buffer) {
	clear(b.Bytes())
	b.Reset()
}
