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

// lanes let the changes of this process take turns, one lane for each stripe. If
// the process vanishes, each row has one of its transactions at most waiting for
// it or holding it. So the bound that the database sets on a transaction whose
// client is silent counts once for others, not once for each connection.
type lanes struct {
	stripes [stripes]chan struct{}
	// feed is for MySQL, whose transactions hold the number of the notice while
	// they wait for their client.
	feed chan struct{}
}

func newLanes() *lanes {
	l := &lanes{feed: make(chan struct{}, 1)}
	for i := range l.stripes {
		l.stripes[i] = make(chan struct{}, 1)
	}
	return l
}

// laneWait is how long a change waits for its turn: less than the database
// grants a transaction, so that a connection that hangs holds nobody up for long.
const laneWait = time.Second

// enter waits for a lane, and goes without its turn if that takes too long.
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
