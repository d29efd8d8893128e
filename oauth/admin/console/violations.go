package console

import (
	"cmp"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// violationList is a page of keys that break the rules.
type violationList struct {
	Violations []violationView
	pager
}

type violationView struct {
	Key   keyView
	Rules []string
	Ends  moment
}

// listViolations shows keys out of policy: as many as a page holds.
func (s *call) listViolations() error {
	var list violationList
	way, now, looked := s.way(s.r.URL.Query().Get("cursor")), s.keys().Now(), 0
	next, err := s.eachPage((*store.KeyCursor)(way.here()), func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := s.keys().Violations(s.r.Context(), s.actor(), "", after, store.MaxPage)
		for i := range page.Violations {
			if len(list.Violations) == pageSize {
				last := page.Violations[i-1].Key
				return &store.KeyCursor{ID: last.ID, Time: last.Created}, true, err
			}
			list.Violations = append(list.Violations, violationOf(&page.Violations[i], now))
		}
		looked += store.MaxPage
		return page.Next, len(list.Violations) == pageSize || looked > maxLooked, err
	})
	if err != nil {
		return err
	}
	list.pager = s.pager(way, (*place)(next))
	return s.show(http.StatusOK, "violations", frame{Here: "violations", Title: "Keys out of policy", Data: list})
}

func violationOf(v *apikey.Violation, now time.Time) violationView {
	shown := violationView{Key: viewOf(&v.Key, now), Ends: momentOf(v.Key.Standing.Ends, now, "Never")}
	words := map[string]string{"require_expiry": "has no expiry", "max_lifetime": "lives too long"}
	for _, rule := range v.Rules {
		shown.Rules = append(shown.Rules, cmp.Or(words[rule], fieldText(rule)))
	}
	return shown
}
