package cache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// shelf is a table that reads what it lacks, one read at a time for a name.
type shelf[K comparable, V any] struct {
	*table[K, V]
	log     *slog.Logger
	mu      sync.Mutex
	flights map[K]*flight[V]
}

// flight is a read of the store that callers wait for. It lives as long as one
// of them does.
type flight[V any] struct {
	stamp   stamp
	began   time.Time
	waiting int // under the shelf's lock
	cancel  context.CancelFunc
	done    chan struct{} // closed once value and err are there
	value   V
	err     error
}

func newShelf[K comparable, V any](most int, log *slog.Logger) *shelf[K, V] {
	return &shelf[K, V]{table: newTable[K, V](most), log: log, flights: make(map[K]*flight[V])}
}

// load reads name with fetch, or waits for a call that is doing so. Only a read that
// began under the same stamp is shared, for another may have been made before
// a change that this caller knows of, and only one that is younger than bound.
// fetch runs in a goroutine of its own; its context ends when the last caller
// has gone.
func (s *shelf[K, V]) load(ctx context.Context, name K, at stamp, now time.Time, bound time.Duration, fetch func(context.Context) (V, error)) (V, error) {
	s.mu.Lock()
	f := s.flights[name]
	if f == nil || f.stamp != at || !within(f.began, now, bound) {
		var own context.Context
		f = &flight[V]{stamp: at, began: now, done: make(chan struct{})}
		own, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.flights[name] = f
		go func() {
			f.value, f.err = guarded(own, s.log, fetch)
			s.mu.Lock()
			s.land(name, f)
			s.mu.Unlock()
			f.cancel()
			close(f.done)
		}()
	}
	f.waiting++
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		s.land(name, f)
		f.cancel()
	}
	var none V
	return none, ctx.Err()
}

// land takes the flight off the list, unless a later one has its place.
func (s *shelf[K, V]) land(name K, f *flight[V]) {
	if s.flights[name] == f {
		delete(s.flights, name)
	}
}

// guarded keeps a driver's panic from ending the process: in the caller's own
// goroutine the HTTP server would have caught it.
func guarded[V any](ctx context.Context, log *slog.Logger, fetch func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			// What it panicked with may be anything, a record too.
			log.ErrorContext(ctx, "the store panicked", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fmt.Errorf("cache: the store panicked: %w", store.ErrUnavailable)
		}
	}()
	return fetch(ctx)
}
