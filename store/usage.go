package store

import (
	"context"
	"time"
)

// Count is the number of logins and refusals of one key on one day. A request with the
// key's secret in place of a token counts as a login.
type Count struct {
	Workspace string
	Key       string
	Day       time.Time // any instant of the day, UTC
	Logins    int64
	Refusals  int64
}

// Usage counts logins and refusals by key and day.
type Usage interface {
	// Add adds each count to the stored one.
	Add(ctx context.Context, counts []Count) error
	// ByDay returns a key's counts with from <= day < to, oldest first. Days without
	// counts are left out. Day is midnight UTC.
	ByDay(ctx context.Context, workspace, key string, from, to time.Time) ([]Count, error)
	// Prune removes the counts of days that began before the given time, also of the
	// day that contains it, unless it is midnight UTC. It returns the number of counts,
	// one for each key and day.
	Prune(ctx context.Context, before time.Time) (int, error)
}
