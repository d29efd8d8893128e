package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// keyPage is everything about one key.
type keyPage struct {
	Key    keyView
	Groups []permissionGroup // titles of what the key holds
	Gone   []string          // permissions that have left the catalog
	Raised []string          // permissions that became admin permissions since
	Chart  *chart
	Events []eventView
	Ruled  bool   // the rules end it, before its expiry
	May    bool   // the person may change keys here
	Off    string // why no key of its workspace works at the moment
}

// showKey shows one key.
func (s *call) showKey() error {
	ctx := s.r.Context()
	key, err := s.keys().Get(ctx, s.actor(), s.key())
	if err != nil {
		return err
	}
	now := s.keys().Now()
	catalog, held := s.keys().Catalog(), key.Permissions.Minus(key.Withheld)
	page := keyPage{Key: viewOf(&key, now), Ruled: key.Standing.ByRules, Groups: choices(catalog, scope.Set{}, held, held)}
	page.Gone = key.Permissions.Minus(catalog.All()).Names()
	page.Raised = key.Withheld.Intersect(catalog.All()).Names()
	if page.Off, err = s.off(key.Workspace); err != nil {
		return err
	}
	grantable, err := s.keys().Grantable(ctx, s.actor(), key.Workspace)
	if err != nil {
		return err
	}
	page.May = grantable.Len() > 0
	to := now.UTC().Truncate(day).Add(day)
	counts, err := s.keys().Usage(ctx, s.actor(), key.ID, to.AddDate(0, 0, -chartDays), to)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
	case err != nil:
		return err
	default:
		page.Chart = chartOf(counts, to)
		page.Chart.Elsewhere = !key.LastUsed.Before(to.AddDate(0, 0, -chartDays))
	}
	events, err := s.keys().Events(ctx, s.actor(), store.EventQuery{Workspace: key.Workspace, Key: key.ID, Limit: 20})
	if err != nil {
		return err
	}
	for i := range events.Events {
		page.Events = append(page.Events, eventOf(&events.Events[i], now))
	}
	return s.show(http.StatusOK, "key", frame{Here: "keys", Title: key.Name, Workspace: key.Workspace, Data: page})
}

// notices say what was just done.
func notices() map[string]string {
	return map[string]string{
		"change":    "The key was changed.",
		"same":      "Nothing was changed.",
		"retire":    "The secret was retired. Nobody can log in with it, and its tokens have ended.",
		"disable":   "The key was disabled. Nobody can log in with it, and its tokens have ended.",
		"enable":    "The key was enabled. It can log in again.",
		"delete":    "The key was deleted.",
		"settings":  "The settings were saved.",
		"suspended": "The workspace was suspended. Its keys cannot log in, and their tokens have ended.",
		"resumed":   "The workspace was resumed. Its keys can log in again.",
	}
}

// chartDays is how many days the chart of a key's use shows.
const chartDays = 30

// chart is a key's use by day, drawn.
type chart struct {
	Bars             []bar
	From, To         string
	Most             int64
	Logins, Refusals int64
	// Elsewhere says that the key was used in these days, even if no use was
	// counted here: a restored key has its last use but no counts.
	Elsewhere bool
}

// bar is one day; heights are in the chart's units, of which it has 100.
type bar struct {
	Day                  string
	Logins, Refusals     int64
	X, LoginsY, LoginsH  int64
	RefusalsY, RefusalsH int64
}

const barWidth = 20

func chartOf(counts []store.Count, to time.Time) *chart {
	byDay := map[string]store.Count{}
	c := &chart{From: to.AddDate(0, 0, -chartDays).Format("2 Jan"), To: to.AddDate(0, 0, -1).Format("2 Jan")}
	for _, count := range counts {
		byDay[count.Day.UTC().Format(time.DateOnly)] = count
		c.Logins += count.Logins
		c.Refusals += count.Refusals
		c.Most = max(c.Most, count.Logins+count.Refusals)
	}
	for i := range chartDays {
		at := to.AddDate(0, 0, i-chartDays)
		count := byDay[at.Format(time.DateOnly)]
		b := bar{Day: at.Format("2 Jan"), Logins: count.Logins, Refusals: count.Refusals, X: int64(i) * barWidth}
		if c.Most > 0 {
			b.LoginsH, b.RefusalsH = height(count.Logins, c.Most), height(count.Refusals, c.Most)
		}
		b.LoginsY = 100 - b.LoginsH
		b.RefusalsY = b.LoginsY - b.RefusalsH
		c.Bars = append(c.Bars, b)
	}
	return c
}

// height scales a count; what happened at all is seen.
func height(n, most int64) int64 {
	if n <= 0 {
		return 0
	}
	return max(2, int64(float64(n)/float64(most)*96))
}
