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

// flights are reads of the store that callers share, one at a time for each name.
type flights[K comparable, V any] struct {
	bound time.Duration
	log   *slog.Logger
	mu    sync.Mutex
	open  map[K]*flight[V]
}

// flight is a read that callers wait for. It lives as long as one of them does.
type flight[V any] struct {
	stamp   stamp
	began   time.Time
	waiting int // under the lock of flights
	cancel  context.CancelFunc
	done    chan struct{} // closed once value and err are there
	value   V
	err     error
}

func newFlights[K comparable, V any](cfg Config) *flights[K, V] {
	return &flights[K, V]{bound: cfg.Bound, log: cfg.Logger, open: make(map[K]*flight[V])}
}

// load reads name with fetch, or waits for a call that is doing so, which it
// reports as shared. A read is shared only if it began under the same stamp, since
// another one may have begun before a change that this caller knows of, and only if
// it is younger than the bound. fetch runs in a goroutine of its own; its
// context ends when the last caller has left.
func (s *flights[K, V]) load(ctx context.Context, name K, at stamp, now time.Time, fetch func(context.Context) (V, error)) (value V, shared bool, err error) {
	s.mu.Lock()
	f := s.open[name]
	shared = f != nil && f.stamp == at && within(f.began, now, s.bound)
	if !shared {
		var own context.Context
		f = &flight[V]{stamp: at, began: now, done: make(chan struct{})}
		own, f.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.open[name] = f
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
		return f.value, shared, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		s.land(name, f)
		f.cancel()
	}
	return value, shared, ctx.Err()
}

// land takes the flight off the list, unless a later one has its place.
func (s *flights[K, V]) land(name K, f *flight[V]) {
	if s.open[name] == f {
		delete(s.open, name)
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
