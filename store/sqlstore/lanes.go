package sqlstore

import (
	"context"
	"hash/crc32"
	"time"
)

// stripes is how many rows repeat the version of the instance's settings. A
// change that rests on the settings locks one of them, a change of the settings
// writes all: so the changes of different workspaces do not wait for one
// another.
const stripes = 16

// stripeOf is the stripe, and the lane, of a workspace's changes.
func stripeOf(workspace string) int { return int(crc32.ChecksumIEEE([]byte(workspace)) % stripes) }

// lanes make the changes of this process take turns, one lane for each stripe. If
// the process vanishes, at most one of its transactions holds the rows of a
// workspace or waits for them (more only if the row is that of an acting key, or of
// its workspace). So other processes wait once for as long as the database lets a
// transaction idle, and not once for each connection that this process had.
type lanes struct {
	stripes [stripes]chan struct{}
	// feed is for MySQL, whose transactions hold the row of {p}feed between two
	// round trips.
	feed chan struct{}
}

func newLanes() *lanes {
	l := &lanes{feed: make(chan struct{}, 1)}
	for i := range l.stripes {
		l.stripes[i] = make(chan struct{}, 1)
	}
	return l
}

// laneWait is how long a change waits for its turn: less than the database lets a
// transaction idle, so that a connection that hangs does not delay others for long.
const laneWait = time.Second

// enter waits for a lane for up to laneWait. After that it returns without having
// the lane, and the caller goes ahead.
func enter(ctx context.Context, lane chan struct{}) (leave func(), err error) {
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-timer.C:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
