package console

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/outcome"
)

// handleFormError shows the form again if the person can correct it, or if the audit log
// says who changed the record meanwhile. It returns any other error, and nil if err is nil.
func (s *call) handleFormError(err error, ask func(status int, wrong []problem) error) error {
	if err == nil {
		return nil
	}
	r := outcome.Manage(s.r.Context(), err)
	wrong := problemsOf(r)
	if r.Kind == answer.Conflict {
		if by := s.changedBy(); by != "" {
			wrong = []problem{{"", by + " Nothing was done. Check the form, then send it again."}}
		}
	}
	if len(wrong) > 0 {
		return ask(r.Row().Manage.Status, wrong)
	}
	return err
}

// changedBy returns a sentence from the audit log about the newest event of the key, the
// workspace or the instance that the page is about, other than a refused login or an
// export. A leak report that changed nothing counts, too. It returns the empty text if the
// form has no version, if the log cannot be read, or if none of the newest store.MaxPage
// events (of the key or of the workspace; for the instance, of all workspaces) is such an event.
func (s *call) changedBy() string {
	if s.version(0) < 0 {
		return ""
	}
	q := store.EventQuery{Workspace: s.workspace(), Key: s.key(), Limit: store.MaxPage}
	if q.Key != "" {
		key, err := s.keys().Get(s.r.Context(), s.actor(), q.Key)
		if err != nil {
			return ""
		}
		q.Workspace = key.Workspace
	}
	page, err := s.keys().Events(s.r.Context(), s.actor(), q)
	at := slices.IndexFunc(page.Events, func(e store.Event) bool {
		return e.Key == q.Key && e.Workspace == q.Workspace && e.Action != audit.Refuse && e.Action != audit.Export
	})
	if err != nil || at < 0 {
		return ""
	}
	e := page.Events[at]
	who, what := whoText(e), actionText(e.Action)
	if e.Actor == s.actor().Ref() {
		who = "You"
	}
	var fields []string
	for _, c := range e.Changes {
		fields = append(fields, nameText(c.Field))
	}
	if fields != nil {
		what += " (" + strings.Join(slices.Compact(fields), ", ") + ")"
	}
	return who + " " + strings.ToLower(what[:1]) + what[1:] + " on " + e.Time.UTC().Format(instantText) + ", after this page was opened."
}

// problemsOf returns the problems with a form, for the person. It returns none if r
// is not about the form.
func problemsOf(r *answer.Refusal) (list []problem) {
	switch {
	case r.Kind == answer.Invalid:
		names := map[string]string{"expires_at": "expires", "not_after": "expires", "replaces": "grace"}
		for _, wrong := range r.Fields {
			list = append(list, problem{cmp.Or(names[wrong.Field], wrong.Field), wrong.Reason})
		}
	case r.Kind == answer.Forbidden && len(r.Missing) > 0:
		return []problem{{"permissions", r.Detail + " Remove these permissions, or ask an administrator to grant them: " + strings.Join(r.Missing, ", ") + "."}}
	case r.Kind == answer.Denied, r.Kind == answer.DeniedExpired:
		// Instants are written without the T and Z of RFC 3339, which only programs need.
		field, reason := "", regexp.MustCompile(`(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\dZ`).ReplaceAllString(r.Detail, "$1, $2 UTC")
		switch {
		case strings.Contains(r.Rule, "lifetime"), strings.Contains(r.Rule, "expiry"):
			field = "expires"
		case strings.HasSuffix(r.Rule, "direct"):
			field = "direct"
		}
		switch {
		case strings.HasSuffix(r.Rule, "max_keys"):
			reason += " Delete one that is no longer needed, or ask an administrator for a higher limit."
		case reason == "":
			reason = r.Row().Problem + "."
		}
		return []problem{{field, reason}}
	}
	return list
}

// refusal is the data of an error page.
type refusal struct {
	Title string
	Text  string
	Do    string // what to do
	Again string // a link to the page that the form was on
	// Sent are the fields of the form, if it can be sent again unchanged. SignIn is the
	// address at which to sign in before that.
	Sent   url.Values
	SignIn string
}

// refuse answers with the error page of err.
func (s *call) refuse(err error) {
	header, r := s.w.Header(), outcome.Manage(s.r.Context(), err)
	if to := s.signIn(); r.Kind == answer.Unauthorized && to != "" && s.r.Method == http.MethodGet {
		header.Set("Location", to)
		s.w.WriteHeader(http.StatusSeeOther)
		return
	}
	r.Log(s.r.Context(), s.c.cfg.Logger, "a page", err, "route", s.r.Pattern)
	r.SetRetryAfter(header)
	row := r.Row()
	page := refusal{Title: row.Problem, Text: r.Detail, Do: cmp.Or(row.PageRemedy, row.Remedy)}
	if list := problemsOf(r); len(list) > 0 {
		page.Text = list[0].Label() + list[0].Reason
	}
	if r.Kind == answer.NotFound && s.workspace() != "" {
		page.Text = "There is no such workspace, or you may not see it."
	}
	if s.r.Method == http.MethodPost {
		s.offerForm(&page, r.Kind)
	}
	if err := s.show(row.Manage.Status, "refusal", frame{Title: page.Title, Data: page}); err != nil {
		s.c.cfg.Logger.ErrorContext(s.r.Context(), "a page could not be written", "error", err)
		s.w.WriteHeader(http.StatusInternalServerError)
	}
}

// offerForm sets what to do with a form that was not carried out: open its page
// again, or send it again with the same fields. No field is a secret, except on the form
// that finds a secret's key: that one is not offered again. What was pasted as a public key
// is kept only if it is one.
func (s *call) offerForm(page *refusal, kind answer.Kind) {
	switch kind {
	case answer.Conflict:
		page.Text = s.changedBy()
		page.Again = s.root() + s.formPage(s.r.URL)
	case answer.StaleForm, answer.Malformed, answer.Late:
		page.Again = s.root() + s.formPage(s.r.URL)
	case answer.Unauthorized, answer.Unavailable, answer.DeniedForNow, answer.Failed:
		// If Authorize failed, the form has not been read yet. Otherwise ParseForm does
		// nothing.
		s.r.Body = http.MaxBytesReader(s.w, s.r.Body, maxSignedOutForm)
		if s.r.ParseForm() != nil {
			return
		}
		if s.r.PostForm.Has("secret") {
			page.Again = s.root() + s.formPage(s.r.URL)
			return
		}
		if s.r.PostForm.Has("public_key") { // it may be a private key
			jwk, _ := readPublicKey(s.r.PostForm.Get("public_key"))
			s.r.PostForm.Set("public_key", jwk)
		}
		page.Sent = s.r.PostForm
		if kind == answer.Unauthorized && len(page.Sent) > 0 {
			page.SignIn, page.Do = s.signIn(), "Nothing was done. Sign in in another tab, then send the form again here."
		}
	}
}

// signIn returns Config.SignIn with the address of the page in it.
func (s *call) signIn() string {
	at, err := url.ParseRequestURI(s.r.RequestURI) // it still has the prefix
	if err != nil {
		at = s.r.URL
	}
	// A browser would read two slashes as the beginning of another host.
	to := "/" + s.formPage(at)
	if at.RawQuery != "" {
		to += "?" + at.RawQuery
	}
	return strings.ReplaceAll(s.c.cfg.SignIn, "{return}", url.QueryEscape(to))
}

// formPage returns the path of the page that a form was sent from, without the slashes
// at its beginning. Forms of a single button are on the page of their key or workspace.
func (s *call) formPage(at *url.URL) string {
	page := strings.TrimLeft(at.EscapedPath(), "/")
	if button := path.Base(s.r.Pattern); button == "enable" || button == "resume" {
		page = strings.TrimSuffix(page, "/"+button)
	}
	return page
}
