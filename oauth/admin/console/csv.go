package console

import (
	"bytes"
	"encoding/csv"
	"regexp"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// maxDownload is the size from which a CSV gets no more events, in bytes. It is made
// in memory, so that an error is answered as one.
const maxDownload = 8 << 20

// downloadEvents answers with the event log as CSV (RFC 4180), with the filter of
// the page. It takes at most half of Config.Timeout. If there are more events, the
// last row says so.
func (s *call) downloadEvents() error {
	var text bytes.Buffer
	f, table := form{Values: s.r.URL.Query()}, csv.NewWriter(&text)
	// What a spreadsheet takes for a formula gets a quote before it (OWASP, "CSV
	// Injection"). Some spreadsheets end a cell at a semicolon or tab, too. The last four
	// characters are the wide forms of the first ones.
	formula := regexp.MustCompile(`(^|[;\t])(\s*[=+\-@\t\r\n＝＋－＠])`)
	row := func(cells ...string) {
		for i, cell := range cells {
			cells[i] = formula.ReplaceAllString(cell, "$1'$2")
		}
		_ = table.Write(cells) //nolint:errcheck // a buffer never fails
	}
	row("time", "action", "actor_kind", "actor_id", "actor_name", "address", "workspace", "key_id", "key_name", "changes", "note")
	next, err := s.eachPage(nil, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		events, next, err := s.readEvents(&f, after, store.MaxPage)
		for _, e := range events {
			row(e.Time.UTC().Format(time.RFC3339Nano), e.Action, e.Actor.Kind, e.Actor.ID, e.ActorName, e.Address, e.Workspace, e.Key, e.KeyName, strings.Join(changeTexts(e), "; "), e.Note)
		}
		table.Flush()
		return next, text.Len() > maxDownload, err
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
