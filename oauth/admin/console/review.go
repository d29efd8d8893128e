package console

import (
	"context"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// preview is the effect of a change of settings on the existing keys.
type preview struct {
	Effects []apikey.KeyPreview
	More    int // affected keys that are not shown
	Looked  int
	Partly  bool // not all keys were checked: all numbers are minimums
	EndNow  int  // end at once
	Earlier int  // end, or end earlier, later on
	Later   int  // live longer
}

// How many keys are checked for a page, and how many affected ones are shown.
const (
	maxLooked = 20_000
	maxShown  = 100
)

// eachPage reads pages of keys or events until read reports enough or half
// of Config.Timeout has passed. It returns the cursor where it stopped, or nil after
// the last page.
func (s *call) eachPage(after *store.KeyCursor, read func(*store.KeyCursor) (next *store.KeyCursor, enough bool, err error)) (*store.KeyCursor, error) {
	half, cancel := context.WithTimeout(s.r.Context(), s.c.cfg.Timeout/2)
	defer cancel()
	for {
		next, enough, err := read(after)
		if err != nil || next == nil || enough || half.Err() != nil {
			return next, err
		}
		after = next
	}
}

// preview checks all keys.
func (s *call) preview(look func(*store.KeyCursor) (apikey.Page[apikey.KeyPreview], error)) (*preview, error) {
	shown := &preview{}
	next, err := s.eachPage(nil, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := look(after)
		now := s.keys().Now() // not earlier: keys that are switched off end at the time of look
		shown.Looked += page.Checked
		for i := range page.Keys {
			shown.add(&page.Keys[i], now)
		}
		return page.Next, shown.Looked >= maxLooked, err
	})
	shown.Partly = next != nil
	return shown, err
}

func (p *preview) add(e *apikey.KeyPreview, now time.Time) {
	switch ends := !e.After.IsZero(); {
	case ends && !e.After.After(now):
		p.EndNow++
	case ends && (e.Before.IsZero() || e.After.Before(e.Before)):
		p.Earlier++
	default:
		p.Later++
	}
	if len(p.Effects) == maxShown {
		p.More++
		return
	}
	p.Effects = append(p.Effects, *e)
}

// violationList is the data of a page of keys that violate the rules.
type violationList struct {
	Violations []apikey.Key
	pager
}

// listViolations shows a page of keys out of policy.
func (s *call) listViolations() error {
	var list violationList
	begins, looked := s.after(), 0
	next, err := s.eachPage(begins, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := s.keys().List(s.r.Context(), s.actor(), store.KeyQuery{After: after, Limit: store.MaxPage})
		for i := range page.Keys {
			if len(list.Violations) == pageSize {
				last := page.Keys[i-1]
				return &store.KeyCursor{ID: last.ID, Time: last.Created}, true, err
			}
			if len(page.Keys[i].RulesBroken) > 0 {
				list.Violations = append(list.Violations, page.Keys[i])
			}
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
