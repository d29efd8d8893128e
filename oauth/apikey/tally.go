package apikey

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// tally gathers logins and refusals by key and day until they are flushed,
// sharded so that logins do not wait for one another.
type tally struct {
	seed   maphash.Seed
	shards *[useShards]tallyShard
	// moving is held while counts are written to the store. moves is how often
	// that has begun.
	moving chan struct{}
	moves  *atomic.Int64
}

type tallyShard struct {
	sync.Mutex
	days map[keyDay]dayTally
}

type keyDay struct {
	key string
	day int64 // since 1970, UTC
}

type dayTally struct {
	workspace        string
	logins, refusals int64
}

const secondsOfDay = 24 * 60 * 60

func newTally() tally {
	t := tally{seed: maphash.MakeSeed(), shards: new([useShards]tallyShard), moving: make(chan struct{}, 1), moves: new(atomic.Int64)}
	for i := range t.shards {
		t.shards[i].days = make(map[keyDay]dayTally)
	}
	return t
}

// add counts for a key that exists: what anybody can send makes no entry.
func (t tally) add(workspace, key string, at time.Time, logins, refusals int64) {
	shard := &t.shards[maphash.String(t.seed, key)%useShards]
	id := keyDay{key, at.Unix() / secondsOfDay}
	shard.Lock()
	defer shard.Unlock()
	sum, known := shard.days[id]
	if !known && len(shard.days) >= maxUses {
		return
	}
	shard.days[id] = dayTally{workspace, sum.logins + logins, sum.refusals + refusals}
}

// hold waits until no counts are being written, and prevents writes until release.
func (t tally) hold(ctx context.Context) error {
	select {
	case t.moving <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: counts are being written: %w", store.ErrUnavailable, ctx.Err())
	}
}

func (t tally) release() { <-t.moving }

// settled waits until no counts are being written, and returns moves. While that
// stays the same, each count is either here or in the store.
func (t tally) settled(ctx context.Context) (int64, error) {
	if err := t.hold(ctx); err != nil {
		return 0, err
	}
	defer t.release()
	return t.moves.Load(), nil
}

// of returns the counts of a key that are not written yet, with from <= day < to.
func (t tally) of(key string, from, to time.Time) []store.Count {
	shard := &t.shards[maphash.String(t.seed, key)%useShards]
	var counts []store.Count
	shard.Lock()
	defer shard.Unlock()
	for id, sum := range shard.days {
		if count := id.count(sum); id.key == key && !count.Day.Before(from) && count.Day.Before(to) {
			counts = append(counts, count)
		}
	}
	return counts
}

func (id keyDay) count(sum dayTally) store.Count {
	return store.Count{
		Workspace: sum.workspace, Key: id.key, Day: time.Unix(id.day*secondsOfDay, 0).UTC(),
		Logins: sum.logins, Refusals: sum.refusals,
	}
}

func (t tally) take() []store.Count {
	var counts []store.Count
	for i := range t.shards {
		shard := &t.shards[i]
		shard.Lock()
		for id, sum := range shard.days {
			counts = append(counts, id.count(sum))
		}
		clear(shard.days)
		shard.Unlock()
	}
	return counts
}

// maxCounts is how many counts one write holds at most.
const maxCounts = 500

// flushTally writes what was counted. What a failed write could not tell for
// certain is counted again: rather a login too many than one too few.
func (s *Service) flushTally(ctx context.Context) error {
	if s.store.Usage == nil {
		return nil
	}
	if err := s.tally.hold(ctx); err != nil {
		return fmt.Errorf("apikey: write usage: %w", err)
	}
	defer s.tally.release()
	s.tally.moves.Add(1)
	counts := s.tally.take()
	for len(counts) > 0 {
		some := counts[:min(len(counts), maxCounts)]
		if err := s.store.Usage.Add(ctx, some); err != nil {
			for _, c := range counts {
				s.tally.add(c.Workspace, c.Key, c.Day, c.Logins, c.Refusals)
			}
			return fmt.Errorf("apikey: write usage: %w", err)
		}
		counts = counts[len(some):]
	}
	return nil
}

// tallyLogin and tallyRefusal count where the store keeps it.
func (s *Service) tallyLogin(k *store.Key, at time.Time) {
	if s.store.Usage != nil {
		s.tally.add(k.Workspace, k.ID, at, 1, 0)
	}
}

func (s *Service) tallyRefusal(k *store.Key, at time.Time) {
	if s.store.Usage != nil {
		s.tally.add(k.Workspace, k.ID, at, 0, 1)
	}
}
