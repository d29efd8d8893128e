package console

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/store"
)

// eventList is a page of the event log.
type eventList struct {
	Events  []store.Event
	Names   map[string]string // names of the keys that exist, by id
	Actions map[string]string // the texts of all actions, by action
	pager
}

// listEvents shows the event log of one workspace or of all workspaces.
func (s *call) listEvents() error {
	f, after := form{Values: s.r.URL.Query()}, s.after()
	page, err := s.readEvents(&f, after, pageSize)
	if err != nil {
		return err
	}
	names, err := s.namesOf(page.Events)
	if err != nil {
		return err
	}
	list := eventList{Events: page.Events, Names: names, Actions: actionTexts(), pager: s.pager(after, page.Next)}
	return s.show(http.StatusOK, "events", frame{Here: "events", Title: "Event log", Workspace: s.workspace(), Problems: f.wrong, Data: list})
}

// readEvents reads a page of the event log, with the filter in the query.
func (s *call) readEvents(f *form, after *store.KeyCursor, limit int) (store.EventPage, error) {
	q := store.EventQuery{Workspace: s.workspace(), Key: f.Get("key"), ActorID: f.Get("actor"), Action: f.Get("action"), After: after, Limit: limit}
	const choose = "Choose a day, such as 2027-01-31."
	if f.Get("from") != "" {
		q.From = f.day("from", choose)
	}
	if f.Get("to") != "" {
		q.To = f.day("to", choose)
	}
	if !q.To.IsZero() {
		q.To = q.To.AddDate(0, 0, 1) // to the end of that day
	}
	return s.keys().Events(s.r.Context(), s.actor(), q)
}

// namesOf returns the names of the keys of events. A deleted key has none.
func (s *call) namesOf(events []store.Event) (map[string]string, error) {
	names := map[string]string{"": ""}
	for i := range events {
		id := events[i].Key
		if _, known := names[id]; known {
			continue
		}
		key, err := s.keys().Get(s.r.Context(), s.actor(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		names[id] = key.Name
	}
	return names, nil
}

// maxDownload is a number of bytes. A CSV that has reached it gets no more events, so it
// is at most one page of events longer. It is made in memory, so that an error can still be answered with an error page.
const maxDownload = 8 << 20

// downloadEvents answers with the event log as CSV (RFC 4180), with the filter of
// the page. It reads for half of Config.Timeout at most. If there are more events, the
// last row says so.
func (s *call) downloadEvents() error {
	var text bytes.Buffer
	f, table := form{Values: s.r.URL.Query()}, csv.NewWriter(&text)
	// A text that a spreadsheet would take for a formula gets a quote before it (OWASP,
	// "CSV Injection"). Some spreadsheets end a cell at a semicolon or a tab, too. The
	// last four characters are the full-width forms of the first four.
	formula := regexp.MustCompile(`(^|[;\t])(\s*[=+\-@\t\r\n＝＋－＠])`)
	row := func(cells ...string) {
		for i, cell := range cells {
			if strings.ContainsAny(cell, "=+-@\t\r\n＝＋－＠") { // the pattern alone is slow
				cells[i] = formula.ReplaceAllString(cell, "$1'$2")
			}
		}
		_ = table.Write(cells) //nolint:errcheck // a buffer never fails
	}
	row("time", "action", "actor_kind", "actor_id", "actor_name", "address", "workspace", "key_id", "key_name", "changes", "note")
	next, err := s.eachPage(nil, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := s.readEvents(&f, after, store.MaxPage)
		for _, e := range page.Events {
			row(e.Time.UTC().Format(time.RFC3339Nano), e.Action, e.Actor.Kind, e.Actor.ID, e.ActorName, e.Address, e.Workspace, e.Key, e.KeyName, strings.Join(changeTexts(e), "; "), e.Note)
		}
		table.Flush()
		return page.Next, text.Len() > maxDownload, err
	})
	switch {
	case err != nil:
		return err
	case len(f.wrong) > 0:
		return s.listEvents() // the page shows what is wrong
	case next != nil:
		row("Older events are left out. Choose an earlier day for To.")
		table.Flush()
	}
	s.w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	s.w.Header().Set("Content-Disposition", `attachment; filename="events.csv"`)
	_, _ = s.w.Write(text.Bytes()) //nolint:errcheck // fails only if the browser has disconnected
	return nil
}

// actionTexts returns, for each action in the audit log, the text that pages show.
func actionTexts() map[string]string {
	return map[string]string{
		audit.Create:          "Created the key",
		audit.Import:          "Imported the key",
		audit.Update:          "Changed the key",
		audit.Rotate:          "Rotated the key",
		audit.AddCredential:   "Added a public key or a trust",
		audit.Retire:          "Retired a credential",
		audit.Disable:         "Disabled the key",
		audit.Enable:          "Enabled the key",
		audit.Delete:          "Deleted the key",
		audit.Revoke:          "Revoked a leaked secret",
		audit.Leak:            "Found a secret in public",
		audit.Refuse:          "Login refused",
		audit.Settings:        "Changed the settings",
		audit.Workspace:       "Changed the workspace's rules",
		audit.RevokeTokens:    "Revoked all tokens",
		audit.Suspend:         "Suspended the workspace",
		audit.Resume:          "Resumed the workspace",
		audit.DeleteWorkspace: "Deleted the workspace",
		audit.Export:          "Exported all keys",
		audit.Restore:         "Restored the key",
	}
}

func actionText(action string) string { return cmp.Or(actionTexts()[action], action) }

// changeTexts returns what an event changed, one text for each field.
func changeTexts(e store.Event) []string {
	texts := make([]string, len(e.Changes))
	for i, c := range e.Changes {
		texts[i] = nameText(c.Field) + ": " + cmp.Or(c.Old, "none") + " → " + cmp.Or(c.New, "none")
	}
	return texts
}

// whoText returns the text of an event's actor. A refused login proves only that
// the client knows the key's id.
func whoText(e store.Event) string {
	switch {
	case e.Action == audit.Refuse:
		return "an unknown client"
	case e.Actor.Kind == "key" && e.Actor.ID == e.Key:
		return "the key itself"
	}
	return cmp.Or(e.ActorName, actorText(e.Actor))
}

// actorText returns the text of an actor.
func actorText(a store.ActorRef) string {
	switch {
	case a.ID == "":
		return cmp.Or(a.Kind, "unknown")
	case a.Kind == "key":
		return "key " + a.ID
	}
	return a.ID
}

// nameText returns the name of a field, rule or reason as people read it.
func nameText(name string) string {
	if strings.HasPrefix(name, "assertion: ") { // a sentence, which may name a claim
		return name
	}
	known := map[string]string{
		"expires_at": "expiry", "not_after": "expiry", "expires": "expiry", "expires_on": "expiry", "enforced_at": "day from which the rules apply to all keys", "max_keys": "limit of keys",
		"max_lifetime": "maximum lifetime", "reminders_enabled": "reminders on or off", "remind_before": "times of reminders", "grace": "grace period",
		"keys": "API keys", "keys_enabled": "keys on or off", "direct": "direct use", "direct_enabled": "direct use on or off",
		"key_limit": "requests of a key", "key_requests": "requests of a key",
		"workspace_limit": "requests of a workspace", "workspace_requests": "requests of a workspace", "unknown_or_wrong": "wrong secret",
	}
	return cmp.Or(known[name], strings.ReplaceAll(name, "_", " "))
}
