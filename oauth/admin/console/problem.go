package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// problem is what is wrong with a form, and the field to mend; none if it is
// the form as a whole.
type problem struct {
	Field  string
	Reason string
}

// problems says what is wrong with a form, in words for its sender; none if
// err is not about the form.
func problems(err error) (status int, list []problem) {
	var bad *apikey.InvalidError
	var unknown *scope.UnknownError
	var forbidden *apikey.ForbiddenError
	var denied *policy.Denied
	switch {
	case errors.As(err, &bad):
		for _, p := range bad.Problems {
			list = append(list, problem{fieldOf(p.Field), named(p.Field) + p.Reason})
		}
		return http.StatusUnprocessableEntity, list
	case errors.As(err, &unknown):
		return http.StatusUnprocessableEntity, []problem{{"permissions", "Some of these permissions do not exist any more: " + strings.Join(unknown.Names, ", ") + ". Choose again."}}
	case errors.As(err, &forbidden) && forbidden.Missing.Len() > 0:
		return http.StatusForbidden, []problem{{"permissions", forbidden.Reason + " Take these away, or ask an administrator: " + strings.Join(forbidden.Missing.Names(), ", ") + "."}}
	case errors.As(err, &denied) && denied != nil && denied.RetryAfter == 0:
		field := ""
		if strings.Contains(denied.Rule, "lifetime") || strings.Contains(denied.Rule, "expiry") {
			field = "expires"
		}
		reason := denied.Reason
		switch {
		case strings.HasSuffix(denied.Rule, "max_keys"):
			reason += " Delete one that is not needed any more, or ask an administrator for a higher limit."
		case reason == "":
			reason = "A rule of this service refuses it."
		}
		return http.StatusForbidden, []problem{{field, reason}}
	}
	return 0, nil
}

// fieldOf is the name in a form of what the service calls otherwise.
func fieldOf(field string) string {
	switch field {
	case "expires_at", "not_after":
		return "expires"
	}
	return field
}

// named begins a sentence such as "It may not be empty." with its subject, for
// the list of problems stands apart from the fields.
func named(field string) string {
	switch fieldOf(field) {
	case "name":
		return "Name: "
	case "expires":
		return "Expiry: "
	case "permissions":
		return "Permissions: "
	case "max_keys":
		return "Limit: "
	case "max_lifetime":
		return "Maximum lifetime: "
	case "enforced_from":
		return "Effect: "
	case "remind_before":
		return "Reminders: "
	case "grace":
		return "Grace period: "
	}
	return ""
}

// refusal is the page that says why there is none.
type refusal struct {
	Title string
	Text  string
	Do    string // what to do
	Again string // the address of the page that the form was on
}

// refuse answers with the page that err is.
func (s *call) refuse(err error) {
	header := s.w.Header()
	if to := s.signInAt(); errors.Is(err, errNobody) && to != "" && s.r.Method == http.MethodGet {
		header.Set("Location", to)
		s.w.WriteHeader(http.StatusSeeOther)
		return
	}
	var denied *policy.Denied
	if errors.As(err, &denied) && denied != nil && denied.RetryAfter > 0 {
		seconds := int64((denied.RetryAfter + time.Second - 1) / time.Second)
		header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	status, page := s.refusalOf(err)
	if s.r.Method == http.MethodPost && (status == http.StatusConflict || errors.Is(err, errStale) || errors.Is(err, errGarbled)) {
		page.Again = s.formPage()
	}
	if status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	f := s.frame("", page.Title, page)
	f.Workspace = ""
	if err := s.show(status, "refusal", f); err != nil {
		s.c.cfg.Logger.ErrorContext(s.r.Context(), "a page could not be written", "error", err)
		s.w.WriteHeader(http.StatusInternalServerError)
	}
}

// formPage is the address of the page that a form was sent from. Those with one
// button stand on the page of their key or workspace.
func (s *call) formPage() string {
	path := s.r.URL.EscapedPath()
	switch {
	case strings.HasSuffix(path, "/enable"):
		return join(s.root(), "keys", s.key())
	case strings.HasSuffix(path, "/resume"):
		return join(s.root(), "settings", "workspaces", s.workspace())
	}
	return "?"
}

func (s *call) refusalOf(err error) (int, refusal) {
	var forbidden *apikey.ForbiddenError
	var denied *policy.Denied
	switch {
	case errors.Is(err, errNobody):
		return http.StatusUnauthorized, refusal{Title: "You are not signed in", Text: "This page is for people who manage API keys.", Do: "Sign in and come back."}
	case errors.Is(err, errNotLoopback):
		return http.StatusForbidden, refusal{Title: "This console is not for you", Text: "It lets everybody in, so it answers only on the machine that it runs on.", Do: "Open it there, at 127.0.0.1 or localhost."}
	case errors.Is(err, errCrossOrigin):
		return http.StatusForbidden, refusal{Title: "This form came from somewhere else", Text: "A page of another site sent it, so nothing was done.", Do: "Open the console itself and use its own form."}
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, refusal{Title: "This form is too large", Text: "It could not be read, so nothing was done.", Do: "Go back and choose fewer or shorter values."}
	case errors.Is(err, errGarbled):
		return http.StatusBadRequest, refusal{Title: "This form cannot be read", Text: "It arrived broken, so nothing was done.", Do: "Open the page again and send the form from there."}
	case errors.Is(err, errStale):
		return http.StatusForbidden, refusal{Title: "This form is too old", Text: "Its page was opened more than twelve hours ago, or by someone else, so nothing was done.", Do: "Open the page again and send the form from there."}
	case errors.Is(err, store.ErrUnavailable), errors.Is(s.r.Context().Err(), context.DeadlineExceeded):
		if !errors.Is(s.r.Context().Err(), context.Canceled) { // a person who left is no outage
			s.c.cfg.Logger.ErrorContext(s.r.Context(), "a page met an outage", "route", s.r.Pattern, "error", err)
		}
		return http.StatusServiceUnavailable, refusal{Title: "The service cannot answer at the moment", Text: "It cannot reach its records. If you sent a form, look first whether it was carried out.", Do: "Try again shortly."}
	case errors.As(err, &denied) && denied != nil:
		status := http.StatusForbidden
		if denied.RetryAfter > 0 {
			status = http.StatusTooManyRequests
		}
		return status, refusal{Title: "A rule of this service refuses it", Text: denied.Reason, Do: "Go back and change what it asks for, or ask an administrator."}
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound, refusal{Title: "There is nothing here", Text: "It does not exist, was deleted, or you have no part in it.", Do: "Check the address, or go back to your workspaces."}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrExists):
		return http.StatusConflict, refusal{Title: "Someone else was faster", Text: "It has changed since you opened the page, so nothing was done.", Do: "Open the page again and decide anew."}
	case errors.As(err, &forbidden):
		text := forbidden.Reason
		if forbidden.Missing.Len() > 0 {
			text += " You may not grant: " + strings.Join(forbidden.Missing.Names(), ", ") + "."
		}
		return http.StatusForbidden, refusal{Title: "You may not do this", Text: text, Do: "Ask an administrator if you need it."}
	}
	if status, list := problems(err); len(list) > 0 {
		return status, refusal{Title: "This cannot be done", Text: list[0].Reason, Do: "Go back and mend it."}
	}
	if s.r.Context().Err() == nil {
		s.c.cfg.Logger.ErrorContext(s.r.Context(), "a page failed", "route", s.r.Pattern, "error", err)
	}
	return http.StatusInternalServerError, refusal{Title: "The service failed", Text: "The error has been written to its log.", Do: "Try again; if it fails again, tell whoever runs this service."}
}
