package answer

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Refusal is an error as the caller may see it: its kind, and what is particular to it.
type Refusal struct {
	Kind
	// Detail is what is wrong, in one sentence. Empty: what the row says.
	Detail string
	// RetryAfter is when to try again. Zero: what the row says.
	RetryAfter time.Duration
	Fields     []Field
	Missing    []string // permissions
	Rule       string   // the policy that refused
	Key        string   // made or rotated by a request that was carried out before
}

// Field is what is wrong with a field of a request.
type Field struct{ Field, Reason string }

// Error implements error.
func (r *Refusal) Error() string { return "refused: " + r.Row().Wrong }

// Description is what an OAuth answer says.
func (r *Refusal) Description() string {
	row := r.Row()
	switch {
	case r.Detail != "":
		return r.Detail
	case row.Do == "":
		return row.Wrong + "."
	}
	return row.Wrong + ". " + row.Do
}

// SetRetryAfter says when to try again, if that is known (RFC 9110, section 10.2.3).
func (r *Refusal) SetRetryAfter(header http.Header) {
	wait := r.RetryAfter
	if wait <= 0 {
		wait = r.Row().RetryAfter
	}
	if wait > 0 {
		header.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}

// WriteOAuth answers as RFC 6749, section 5.2, says.
func (r *Refusal) WriteOAuth(w http.ResponseWriter) {
	r.SetRetryAfter(w.Header())
	row := r.Row()
	body, _ := json.Marshal(struct { //nolint:errcheck // two strings
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{row.OAuth.Code, printable(r.Description())})
	Write(w, row.OAuth.Status, "application/json", append(body, '\n'))
}

// Log tells the operator of an outage or a failure. What failed for a caller who hung
// up is neither.
func (r *Refusal) Log(ctx context.Context, log *slog.Logger, what string, err error, args ...any) {
	switch args = append(args, "error", err); {
	case errors.Is(ctx.Err(), context.Canceled):
	case r.Kind == Unavailable:
		log.ErrorContext(ctx, what+" met an outage", args...)
	case r.Kind == Failed:
		log.ErrorContext(ctx, what+" failed", args...)
	}
}

// Write sends an answer that no cache may keep (RFC 6749, section 5.1).
func Write(w http.ResponseWriter, status int, mediaType string, body []byte) {
	header := w.Header()
	// Set would make a slice for each. The bounds keep one from growing into
	// the next.
	values := []string{mediaType, "no-store", "no-cache", "nosniff"}
	header["Content-Type"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["Pragma"] = values[2:3:3]
	header["X-Content-Type-Options"] = values[3:4:4]
	w.WriteHeader(status)
	_, _ = w.Write(body) //nolint:errcheck // the client hung up
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
