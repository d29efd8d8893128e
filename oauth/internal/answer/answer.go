package answer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refusal is an error as a client sees it: its kind, and the details of this case.
type Refusal struct {
	Kind
	// Detail says in one sentence what is wrong. Empty: the Problem and
	// Remedy of the row.
	Detail string
	// RetryAfter is how long to wait before the next try. Zero: the time of the
	// row.
	RetryAfter time.Duration
	Fields     []Field
	Missing    []string // permissions
	Rule       string   // the policy that refused
	Key        string   // the key that an earlier request created or changed
}

// Field says what is wrong with one field of a request.
type Field struct{ Field, Reason string }

// Error implements error.
func (r *Refusal) Error() string { return "refused: " + r.Row().Problem }

// Description returns the error_description of an OAuth response.
func (r *Refusal) Description() string {
	row := r.Row()
	switch {
	case r.Detail != "":
		return r.Detail
	case row.Remedy == "":
		return row.Problem + "."
	}
	return row.Problem + ". " + row.Remedy
}

// SetRetryAfter sets the Retry-After header (RFC 9110, section 10.2.3) if a time is
// known.
func (r *Refusal) SetRetryAfter(header http.Header) {
	if wait := cmp.Or(max(r.RetryAfter, 0), r.Row().RetryAfter); wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}

// WriteOAuth writes the error response of RFC 6749, section 5.2.
func (r *Refusal) WriteOAuth(w http.ResponseWriter) {
	r.SetRetryAfter(w.Header())
	row := r.Row()
	body, _ := json.Marshal(struct { //nolint:errcheck // two strings
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{row.OAuth.Code, Printable(r.Description())})
	Write(w, row.OAuth.Status, "application/json", append(body, '\n'))
}

// Log logs the error if the store is unavailable or the server failed. A failure
// with a Detail was logged where it was found, or is one that any client can cause. It logs nothing if the client has
// closed the connection, since that is a cause of errors too.
func (r *Refusal) Log(ctx context.Context, log *slog.Logger, what string, err error, args ...any) {
	switch args = append(args, "error", err); {
	case errors.Is(ctx.Err(), context.Canceled):
	case r.Kind == Unavailable && r.Detail == "":
		log.ErrorContext(ctx, what+" failed because the store or another service is unavailable", args...)
	case r.Kind == Failed && r.Detail == "":
		log.ErrorContext(ctx, what+" failed", args...)
	}
}

// Write writes a response that no cache may keep (RFC 6749, section 5.1).
func Write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	header := w.Header()
	// Header.Set would allocate a slice for each. The capacities keep an append to
	// one header from overwriting the next.
	values := []string{mediaType, "no-store", "no-cache", "nosniff"}
	header["Content-Type"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["Pragma"] = values[2:3:3]
	header["X-Content-Type-Options"] = values[3:4:4]
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // fails only if the client has closed the connection
}

// Printable replaces characters that an error_description may not contain (RFC
// 6749, section 5.2). A policy's reason is the host's text and may contain any.
func Printable(text string) string {
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
