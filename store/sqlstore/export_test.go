package sqlstore

import (
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Migrations is how many there are.
func Migrations(d Dialect) int { return len(migrations(d, "")) }

// NeverPoll makes notices depend on Config.Listen alone.
func NeverPoll(d *Database) { d.config.PollEvery = time.Hour }

// Undone reports whether an error would be tried again.
func Undone(d Dialect, err error) bool { return d.undone(err) }

// SweepEvery is how many calls leave removing what has ended to another, and
// KeptNotices how many notices stay.
const (
	SweepEvery  = sweepEvery
	KeptNotices = kept
)

// Statement is a query and its arguments, for a test that reads plans.
type Statement struct {
	Text string
	Args []any
}

// ListStatement is the query of a page of keys.
func ListStatement(d *Database, q store.KeyQuery) Statement {
	column := map[store.KeySort]string{
		"": "created", store.ByCreated: "created", store.ByName: "name", store.ByLastUsed: "last_used", store.ByExpiry: "not_after",
	}[q.Sort]
	text, args := d.keys.query(&q, column, 101)
	return Statement{text, args}
}

// EventStatement is the query of a page of events.
func EventStatement(d *Database, q store.EventQuery) Statement {
	text, args := (&eventLog{d}).query(&q, 101)
	return Statement{text, args}
}

// FixedStatements are the queries with a fixed text that find rows among many.
func FixedStatements(d *Database, workspace, key string) map[string]Statement {
	q, id, space := &d.text, []byte(key), []byte(workspace)
	return map[string]Statement{
		"look-up":              {q.lookup, []any{id}},
		"epochs":               {q.epochs, []any{digest("token"), space, id, id}},
		"lock of a key":        {q.lockKey, []any{id}},
		"limit check":          {q.readPlace, []any{space}},
		"settings":             {q.workspace, []any{space}},
		"tombstone":            {q.tombstone, []any{id}},
		"deletion":             {q.deleteKey, []any{id}},
		"deletion of all":      {q.buryWorkspace, []any{space, int64(0)}},
		"one-time id":          {q.once, []any{digest("space", "id")}},
		"limiter":              {q.arrival, []any{digest("id")}},
		"days of a key":        {q.days, []any{space, id, int64(0), int64(1)}},
		"notices":              {q.feed, []any{int64(999_990)}},
		"old events":           {q.pruneEvents, []any{int64(1)}},
		"old one-time ids":     {q.sweepOnce, []any{int64(1)}},
		"old tombstones":       {q.purge, []any{int64(1)}},
		"ended revocations":    {q.sweepRevoked, []any{int64(1)}},
		"arrivals that passed": {q.sweepLimits, []any{int64(1)}},
	}
}

// SweepNext makes the next call that leaves something behind remove what has
// ended.
func SweepNext(d *Database) {
	d.turns.once.Store(sweepEvery - 1)
	d.turns.revoked.Store(sweepEvery - 1)
	d.turns.limits.Store(sweepEvery - 1)
}
