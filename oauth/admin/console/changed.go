package console

import (
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// changedBy returns a sentence from the audit log: who last changed the key, the
// workspace's rules or the settings that the page is about, and what. It returns the
// empty text if the form names no version, or if the log does not say.
func (s *call) changedBy() string {
	if s.seen() < 0 {
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
	who, what := whoText(e), deed(e.Action)
	if e.Actor == s.actor().Ref() {
		who = "You"
	}
	var fields []string
	for _, c := range e.Changes {
		fields = append(fields, words(c.Field))
	}
	if fields != nil {
		what += " (" + strings.Join(fields, ", ") + ")"
	}
	return who + " " + strings.ToLower(what[:1]) + what[1:] + " on " + e.Time.UTC().Format(instantText) + ", after this page was opened."
}
