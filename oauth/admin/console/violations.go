package console

import (
	"net/http"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// violationList is a page of keys that break the rules.
type violationList struct {
	Violations []apikey.Violation
	pager
}

// listViolations shows keys out of policy: as many as a page holds.
func (s *call) listViolations() error {
	var list violationList
	begins, looked := s.after(), 0
	next, err := s.eachPage(begins, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := s.keys().Violations(s.r.Context(), s.actor(), "", after, store.MaxPage)
		for i := range page.Violations {
			if len(list.Violations) == pageSize {
				last := page.Violations[i-1].Key
				return &store.KeyCursor{ID: last.ID, Time: last.Created}, true, err
			}
			list.Violations = append(list.Violations, page.Violations[i])
		}
		looked += store.MaxPage
		return page.Next, len(list.Violations) == pageSize || looked > maxLooked, err
	})
	if err != nil {
		return err
	}
	list.pager = s.pager(begins, next)
	return s.show(http.StatusOK, "violations", frame{Here: "violations", Title: "Keys out of policy", Data: list})
}
