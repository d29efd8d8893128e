package console

import (
	"cmp"
	"net/http"
	"slices"
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
		page, err := s.keys().List(s.r.Context(), s.actor(), store.KeyQuery{After: after, Limit: store.MaxPage})
		broken := slices.DeleteFunc(page.Keys, func(k apikey.Key) bool { return len(k.Breaks) == 0 })
		for i := range broken {
			if len(list.Violations) == pageSize {
				last := broken[i-1]
				return &store.KeyCursor{ID: last.ID, Time: last.Created}, true, err
			}
			list.Violations = append(list.Violations, violationOf(&broken[i], now))
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

func violationOf(k *apikey.Key, now time.Time) violationView {
	shown := violationView{Key: viewOf(k, now), Ends: momentOf(k.Standing.Ends, now, "Never")}
	words := map[string]string{"require_expiry": "has no expiry", "max_lifetime": "lives too long"}
	for _, rule := range k.Breaks {
		shown.Rules = append(shown.Rules, cmp.Or(words[rule], fieldText(rule)))
	}
	return shown
}
