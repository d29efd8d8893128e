package main

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

// refusal is an error answer. The provider prints its message unchanged.
type refusal struct {
	status  int
	Message string `json:"message"`
}

func (e refusal) Error() string { return e.Message }

// refusalOf turns an error into one short sentence without secrets.
func refusalOf(err error) refusal {
	if store.IsOutage(err) { // takes precedence over everything else that err wraps
		return refusal{http.StatusServiceUnavailable, "The server cannot reach its database at the moment. Try again."}
	} else if e, ok := errors.AsType[refusal](err); ok {
		return e
	} else if e, ok := errors.AsType[*apikey.InvalidError](err); ok {
		at := map[string]string{"workspace": "metadata.ownedByWorkspace", "name": "spec.displayName", "expires_at": "spec.expiresAt"}
		return refusal{http.StatusBadRequest, at[e.Problems[0].Field] + ": " + e.Problems[0].Reason}
	} else if e, ok := errors.AsType[*apikey.ForbiddenError](err); ok {
		if e.Missing.Len() == 0 {
			return refusal{http.StatusForbidden, e.Reason}
		}
		return refusal{http.StatusForbidden, e.Reason + " They are: " + strings.Join(e.Missing.Names(), ", ") + "."}
	} else if e, ok := errors.AsType[*policy.Denied](err); ok {
		return refusal{http.StatusConflict, e.Reason}
	} else if errors.Is(err, store.ErrNotFound) {
		return refusal{http.StatusNotFound, "There is no such key or workspace."}
	} else if errors.Is(err, store.ErrConflict) {
		return refusal{http.StatusConflict, "The key was changed at the same time. Try again."}
	}
	return refusal{http.StatusInternalServerError, "The server failed. Its log says why."}
}

// jsonHandler makes a handler of a function that returns an answer or an error. Requests
// must name the media type, as in meshStack; its case does not matter. Requests are not
// logged, because a body may hold a secret.
func jsonHandler(media string, log *slog.Logger, serve func(*http.Request) (status int, body any, err error)) http.Handler {
	names := func(values []string) bool {
		return strings.Contains(strings.ToLower(strings.Join(values, ",")), strings.ToLower(media))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		var status int
		var body any
		var err error
		switch hasBody := r.Method == http.MethodPost || r.Method == http.MethodPut; {
		case !names(r.Header["Accept"]):
			err = refusal{http.StatusNotAcceptable, "Send the header Accept: " + media}
		case hasBody && !names(r.Header["Content-Type"]):
			err = refusal{http.StatusUnsupportedMediaType, "Send the header Content-Type: " + media}
		default:
			status, body, err = serve(r)
		}
		if err == nil {
			reply(w, status, media, body)
			return
		}
		bad := refusalOf(err)
		if bad.status >= http.StatusInternalServerError && r.Context().Err() == nil { // the client still waits
			log.ErrorContext(r.Context(), "a request failed", "method", r.Method, "error", err)
			w.Header().Set("Retry-After", "1") // the provider waits this long after a 503
		}
		reply(w, bad.status, "application/json", bad)
	})
}

func reply(w http.ResponseWriter, status int, media string, body any) {
	w.Header().Set("Cache-Control", "no-store") // a secret may be in it
	if body == nil {
		w.WriteHeader(status)
		return
	}
	text, _ := json.Marshal(body) //nolint:errcheck // strings and numbers always marshal
	w.Header().Set("Content-Type", media)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:errcheck // fails only if the client has disconnected
}
