package oauth

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The error codes of RFC 6749, sections 5.2 and 4.1.2.1.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidScope         = "invalid_scope"
	unauthorizedClient   = "unauthorized_client"
	unsupportedGrantType = "unsupported_grant_type"
	invalidTarget        = "invalid_target" // RFC 8707, section 2
	serverError          = "server_error"

	unsupportedResponseType = "unsupported_response_type"
	temporarilyUnavailable  = "temporarily_unavailable"
)

// refusal is an error answer. The description is the server's own text and
// repeats no input except the names of permissions; see notHeld.
type refusal struct {
	status      int
	code        string
	description string
	retryAfter  time.Duration
}

func badRequest(description string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: invalidRequest, description: description}
}

// unavailable is the answer to an outage: never a token, never invalid_client.
func unavailable() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: temporarilyUnavailable, retryAfter: time.Second,
		description: "The server cannot decide at the moment. Try again shortly.",
	}
}

func (s *Server) answer(w http.ResponseWriter, bad *refusal) {
	if bad.status == http.StatusUnauthorized { // RFC 6749, section 5.2; RFC 9110, section 11.6.1
		w.Header().Set("WWW-Authenticate", `Basic realm="`+s.cfg.Realm+`", charset="UTF-8"`)
	}
	if bad.retryAfter > 0 {
		seconds := int64((bad.retryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{bad.code, printable(bad.description)})
	if err != nil {
		body = []byte(`{"error":"server_error"}`)
	}
	writeJSON(w, bad.status, append(body, '\n'))
}

// writeJSON sends an answer that no cache may keep (RFC 6749, section 5.1).
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	// Set would make a slice for each. The bounds keep one from growing into
	// the next.
	values := []string{"application/json", "no-store", "no-cache", "nosniff"}
	header["Content-Type"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["Pragma"] = values[2:3:3]
	header["X-Content-Type-Options"] = values[3:4:4]
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client is gone; nobody to tell
}

// printable keeps the characters that an error_description may hold (RFC 6749,
// section 5.2): a policy's reason is the host's text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}
