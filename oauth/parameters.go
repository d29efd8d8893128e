package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// readForm reads application/x-www-form-urlencoded. Whatever another parser
// could read differently is refused: a repeated parameter (RFC 6749, section
// 3.2), a semicolon, a broken escape, invalid UTF-8, a NUL.
func (t *tokenRequest) readForm(body string) *refusal {
	var array [8]string // most requests need no more
	seen := array[:0]
	for pairs := 0; body != ""; pairs++ {
		if pairs == maxParameters {
			return badRequest("There are too many parameters.")
		}
		var pair string
		pair, body, _ = strings.Cut(body, "&")
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return badRequest("A semicolon in the body must be percent-encoded.")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := unescape(rawName)
		if err != nil {
			return badRequest("The name of a parameter is not well encoded.")
		}
		value, err := unescape(rawValue)
		if err != nil {
			return badRequest("The value of a parameter is not well encoded.")
		}
		if slices.Contains(seen, name) && name != "resource" { // RFC 8707, section 2
			return badRequest("A parameter may not be repeated.")
		}
		seen = append(seen, name)
		switch name {
		case "grant_type":
			t.grantType, t.hasGrant = value, value != ""
		case "client_id":
			t.clientID, t.hasID = value, value != ""
		case "client_secret":
			t.clientSecret, t.hasSecret = value, value != ""
		case "scope":
			t.scope = value
		case "resource":
			if value != "" {
				t.resource = value
				t.resources++
			}
		case "token":
			t.token = value
		case "client_assertion", "client_assertion_type":
			t.hasAssertion = t.hasAssertion || value != ""
		}
	}
	return nil
}

// isASCIIForm reports whether a form is ASCII, in its escapes too: an escape is a
// byte in the charset that was named.
func isASCIIForm(body string) bool {
	for i := range len(body) - 1 {
		if body[i] == '%' && body[i+1] > '7' {
			return false
		}
	}
	return request.IsASCII(body)
}

func notUTF8() *refusal { return badRequest("A body that is not ASCII must be in UTF-8.") }

func unescape(text string) (string, error) {
	if strings.IndexByte(text, '%') >= 0 || strings.IndexByte(text, '+') >= 0 {
		var err error
		if text, err = url.QueryUnescape(text); err != nil {
			return "", err
		}
	}
	if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
		return "", errors.New("not text")
	}
	return text, nil
}

// jsonNames are the members of a JSON login, in both spellings.
var jsonNames = []string{
	"grant_type", "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type",
	"grantType", "clientId", "clientSecret", "resource",
}

// readJSON reads the JSON form of a login.
func (t *tokenRequest) readJSON(body []byte) *refusal {
	members, err := strictjson.Members(body, jsonNames)
	if err != nil {
		var fault *strictjson.Error
		if errors.As(err, &fault) {
			return badRequest("The body is not one well-formed JSON object: " + fault.Reason + ".")
		}
		return badRequest("The body is not one well-formed JSON object.")
	}
	for _, pair := range [][2]string{{"grant_type", "grantType"}, {"client_id", "clientId"}, {"client_secret", "clientSecret"}} {
		_, one := members.Get(pair[0])
		_, other := members.Get(pair[1])
		if one && other {
			return badRequest("The member " + pair[0] + " is there twice.")
		}
	}
	for _, member := range members {
		// null is the same as an absent member.
		null := string(member.Value) == "null"
		switch member.Name {
		case "grant_type", "grantType":
			t.grantType, t.hasGrant, err = jsonText(member.Value)
		case "client_id", "clientId":
			t.clientID, t.hasID, err = jsonText(member.Value)
			t.hasNull = t.hasNull || null
		case "client_secret", "clientSecret":
			t.clientSecret, t.hasSecret, err = jsonText(member.Value)
			t.hasNull = t.hasNull || null
		case "scope":
			t.scope, _, err = jsonText(member.Value)
		case "resource":
			t.resource, _, err = jsonText(member.Value)
		case "client_assertion", "client_assertion_type":
			t.hasAssertion = t.hasAssertion || !null
		}
		if err != nil {
			return notStrings()
		}
	}
	return nil
}

func notStrings() *refusal { return badRequest("The members of a login must be strings.") }

// jsonText reads a string; there is false for null.
func jsonText(value json.RawMessage) (text string, there bool, err error) {
	if string(value) == "null" {
		return "", false, nil
	}
	text, err = strictjson.String(value)
	if err == nil && strings.Contains(text, "\x00") {
		err = errors.New("not text")
	}
	return text, true, err
}

// readBasic reads client_secret_basic (RFC 6749, section 2.3.1) and sees to it
// that only one method authenticates. An Authorization header of another
// scheme, which a proxy may have added, authenticates no client.
func (t *tokenRequest) readBasic(header http.Header) *refusal {
	credentials, err := request.Credentials(header, "Basic")
	switch {
	case errors.Is(err, request.ErrAbsent):
		switch {
		case t.hasAssertion && t.hasSecret:
			return oneMethodOnly()
		case t.hasNull:
			return notStrings()
		case !t.hasAssertion && !t.hasSecret && header.Get("Authorization") != "":
			return &refusal{Kind: answer.Refused, Detail: "The client must authenticate with Basic or in the body."}
		}
		return nil
	case len(header["Authorization"]) > 1:
		return badRequest("There may be one Authorization header only.")
	case t.hasSecret || t.hasAssertion:
		return oneMethodOnly()
	case err != nil:
		return malformedBasic()
	}
	id, secret, bad := parseBasic(credentials)
	if bad != nil {
		return bad
	}
	if t.hasID && t.clientID != id {
		return badRequest("The client_id is not the one that authenticates.")
	}
	t.clientID, t.clientSecret = id, secret
	return nil
}

func oneMethodOnly() *refusal { return badRequest("The client may authenticate by one method only.") }

func malformedBasic() *refusal { return badRequest("The Basic credentials are malformed.") }

func parseBasic(encoded string) (id, secret string, bad *refusal) {
	// No line breaks: the decoder would skip them.
	if strings.ContainsAny(encoded, "\r\n") {
		return "", "", malformedBasic()
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", malformedBasic()
	}
	rawID, rawSecret, found := strings.Cut(string(plain), ":")
	if !found {
		return "", "", malformedBasic()
	}
	if id, err = unescape(rawID); err != nil {
		return "", "", malformedBasic()
	}
	if secret, err = unescape(rawSecret); err != nil {
		return "", "", malformedBasic()
	}
	return id, secret, nil
}
