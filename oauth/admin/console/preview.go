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
	Checked int
	Partly  bool // not all keys were checked: all numbers are minimums
	EndNow  int  // keys that end at once
	Earlier int  // keys that end in the future, but earlier than without the change
	Later   int  // keys that end later than without the change
}

// maxChecked bounds the keys that are checked for a page, and maxShown the affected keys
// that it shows.
const (
	maxChecked = 20_000
	maxShown   = 100
)

// eachPage reads pages of keys or events until read reports enough or half of
// Config.Timeout has passed. It returns the cursor where it stopped, or nil after
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

// preview returns the effect of a change, which read returns for one page of keys. It
// checks as many keys as maxChecked and the time allow.
func (s *call) preview(read func(*store.KeyCursor) (apikey.Page[apikey.KeyPreview], error)) (*preview, error) {
	shown := &preview{}
	next, err := s.eachPage(nil, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := read(after)
		// Keys that a change switches off end at the time at which read was called. So now
		// must be later than that call.
		now := s.keys().Now()
		shown.Checked += page.Checked
		for i := range page.Keys {
			shown.add(&page.Keys[i], now)
		}
		return page.Next, shown.Checked >= maxChecked, err
	})
	shown.Partly = next != nil
	return shown, err
}

// add counts one affected key, and keeps it to be shown.
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
	start, checked := s.after(), 0
	next, err := s.eachPage(start, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
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
		checked += store.MaxPage
		return page.Next, len(list.Violations) == pageSize || checked > maxChecked, err
	})
	if err != nil {
		return err
	}
	list.pager = s.pager(start, next)
	return s.show(http.StatusOK, "violations", frame{Here: "violations", Title: "Keys out of policy", Data: list})
}
