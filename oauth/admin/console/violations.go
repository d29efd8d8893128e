package console

import (
	"cmp"
	"context"
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

// listViolations shows keys out of policy. It looks for as many as a page holds,
// for half of the page's time at most.
func (s *call) listViolations() error {
	var list violationList
	way := s.way(s.r.URL.Query().Get("cursor"))
	after := (*store.KeyCursor)(way.here())
	half, cancel := context.WithTimeout(s.r.Context(), s.c.cfg.Timeout/2)
	defer cancel()
	now := s.keys().Now()
	var next *place
	for looked := 0; ; looked += store.MaxPage {
		page, err := s.keys().Violations(s.r.Context(), s.actor(), "", after, store.MaxPage)
		if err != nil {
			return err
		}
		after = page.Next
		next = (*place)(after)
		for i := range page.Violations {
			if len(list.Violations) == pageSize {
				last := page.Violations[i-1].Key
				next = &place{ID: last.ID, Time: last.Created}
				break
			}
			list.Violations = append(list.Violations, violationOf(&page.Violations[i], now))
		}
		if next == nil || len(list.Violations) == pageSize || looked >= maxLooked || half.Err() != nil {
			break
		}
	}
	list.pager = s.pager(way, next)
	return s.show(http.StatusOK, "violations", frame{Here: "violations", Title: "Keys out of policy", Data: list})
}

func violationOf(v *apikey.Violation, now time.Time) violationView {
	shown := violationView{Key: rowOf(&v.Key, v.Standing, now), Ends: momentOf(v.Standing.Ends, now, "Never")}
	words := map[string]string{"require_expiry": "has no expiry", "max_lifetime": "lives too long"}
	for _, rule := range v.Rules {
		shown.Rules = append(shown.Rules, cmp.Or(words[rule], fieldText(rule)))
	}
	return shown
}
