package console

import (
	"context"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// preview is what a change would do.
type preview struct {
	Effects []effectView
	More    int // touched and not shown
	Looked  int
	Partly  bool // there are more keys than were looked at: all numbers are the least
	Die     int  // end at once
	Earlier int  // end, or end earlier, later on
	Later   int  // live longer
}

type effectView struct {
	Key         keyView
	Before, Now moment
	Dies        bool
}

// Least goes before a number of keys.
func (p *preview) Least() string {
	if p.Partly {
		return "at least "
	}
	return ""
}

// Count is a number of keys with its noun, at the beginning of a sentence.
func (p *preview) Count(n int, one, many string) string {
	if p.Partly {
		return "At least " + count(n, one, many)
	}
	return count(n, one, many)
}

// How many keys are looked at for a page, and how many of them are shown.
const (
	maxLooked = 20_000
	maxShown  = 100
)

// eachPage reads pages of keys, the oldest first, until enough was seen: as many as
// half of the page's time is enough for. It returns behind which key it stopped, nil
// for the last.
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

// preview goes through the keys.
func (s *call) preview(look func(*store.KeyCursor) (apikey.Page[apikey.Effect], error)) (*preview, error) {
	shown, now := &preview{}, s.keys().Now()
	next, err := s.eachPage(nil, func(after *store.KeyCursor) (*store.KeyCursor, bool, error) {
		page, err := look(after)
		shown.Looked += page.Looked
		for i := range page.Keys {
			shown.add(&page.Keys[i], now)
		}
		return page.Next, shown.Looked >= maxLooked, err
	})
	shown.Partly = next != nil
	return shown, err
}

func (p *preview) add(e *apikey.Effect, now time.Time) {
	v := effectView{Key: viewOf(&e.Key, now), Before: momentOf(e.Before, now, "Never"), Now: momentOf(e.After, now, "Never")}
	switch {
	case !e.After.IsZero() && !e.After.After(now):
		v.Dies = true
		v.Now = moment{Text: "At once"}
		p.Die++
	case !e.After.IsZero() && (e.Before.IsZero() || e.After.Before(e.Before)):
		p.Earlier++
	default:
		p.Later++
	}
	if !e.Before.IsZero() && !e.Before.After(now) {
		v.Before = moment{Text: "Ended"}
	}
	if len(p.Effects) == maxShown {
		p.More++
		return
	}
	p.Effects = append(p.Effects, v)
}
