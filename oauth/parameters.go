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

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// readForm reads application/x-www-form-urlencoded. Whatever another parser
// could read differently is refused: a repeated parameter (RFC 6749, section
// 3.2), a semicolon, a broken escape, invalid UTF-8, a NUL.
func (t *tokenRequest) readForm(body string) *refusal {
	var room [8]string
	seen := room[:0]
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
				t.resources = append(t.resources, value)
			}
		case "token":
			t.token = value
		case "client_assertion", "client_assertion_type":
			t.hasAssertion = t.hasAssertion || value != ""
		}
	}
	return nil
}

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
	for _, member := range members {
		switch member.Name {
		case "grant_type", "grantType":
			if t.hasGrant {
				return twice("grant_type")
			}
			t.grantType, t.hasGrant, err = jsonText(member.Value)
		case "client_id", "clientId":
			if t.hasID {
				return twice("client_id")
			}
			t.clientID, t.hasID, err = jsonText(member.Value)
		case "client_secret", "clientSecret":
			if t.hasSecret {
				return twice("client_secret")
			}
			t.clientSecret, t.hasSecret, err = jsonText(member.Value)
		case "scope":
			t.scope, _, err = jsonText(member.Value)
		case "resource":
			var resource string
			resource, _, err = jsonText(member.Value)
			t.resources = append(t.resources, resource)
		case "client_assertion", "client_assertion_type":
			t.hasAssertion = true
		}
		if err != nil {
			return badRequest("The members of a login must be strings.")
		}
	}
	return nil
}

func twice(name string) *refusal {
	return badRequest("The member " + name + " is there twice.")
}

func jsonText(value json.RawMessage) (string, bool, error) {
	text, err := strictjson.String(value)
	if err == nil && strings.Contains(text, "\x00") {
		err = errors.New("not text")
	}
	return text, true, err
}

// readBasic reads client_secret_basic (RFC 6749, section 2.3.1) and sees to it
// that only one method authenticates.
func (t *tokenRequest) readBasic(headers []string) *refusal {
	switch len(headers) {
	case 0:
		if t.hasAssertion && t.hasSecret {
			return badRequest("The client may authenticate by one method only.")
		}
		return nil
	case 1:
	default:
		return badRequest("There may be one Authorization header only.")
	}
	if t.hasSecret || t.hasAssertion {
		return badRequest("The client may authenticate by one method only.")
	}
	id, secret, bad := parseBasic(headers[0])
	if bad != nil {
		return bad
	}
	if t.hasID && t.clientID != id {
		return badRequest("The client_id is not the one that authenticates.")
	}
	t.clientID, t.clientSecret = id, secret
	return nil
}

func parseBasic(header string) (id, secret string, bad *refusal) {
	scheme, encoded, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", &refusal{status: http.StatusUnauthorized, code: invalidClient, description: "The client must authenticate with Basic or in the body."}
	}
	malformed := badRequest("The Basic credentials are malformed.")
	// No line breaks: the decoder would skip them.
	if strings.ContainsAny(encoded, "\r\n") {
		return "", "", malformed
	}
	plain, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", malformed
	}
	rawID, rawSecret, found := strings.Cut(string(plain), ":")
	if !found {
		return "", "", malformed
	}
	if id, err = unescape(rawID); err != nil {
		return "", "", malformed
	}
	if secret, err = unescape(rawSecret); err != nil {
		return "", "", malformed
	}
	return id, secret, nil
}
