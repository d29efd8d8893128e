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

// flights are reads of the store that callers share. There is one at a time for each
// name and stamp.
type flights[K comparable, V any] struct {
	bound time.Duration
	log   *slog.Logger
	mu    sync.Mutex
	open  map[K]*flight[V]
}

// flight is one read. It is canceled when no caller waits for it any more.
type flight[V any] struct {
	stamp   stamp
	began   time.Time
	waiting int // number of callers; guarded by flights.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when value and err are set
	value   V
	err     error
}

func newFlights[K comparable, V any](cfg Config) *flights[K, V] {
	return &flights[K, V]{bound: cfg.Bound, log: cfg.Logger, open: make(map[K]*flight[V])}
}

// load calls fetch for name, or waits for another call that is doing so and reports it
// as shared. A read is shared only under the same stamp, since another one may have
// begun before a change that this caller knows of, and only if it is younger than the
// bound. fetch runs in its own goroutine; its context ends when the last caller has
// returned.
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
			f.value, f.err = recovered(own, s.log, fetch)
			s.mu.Lock()
			s.remove(name, f)
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
		s.remove(name, f)
		f.cancel()
	}
	return value, shared, ctx.Err()
}

// remove removes the flight, unless a later one has replaced it.
func (s *flights[K, V]) remove(name K, f *flight[V]) {
	if s.open[name] == f {
		delete(s.open, name)
	}
}

// recovered turns a panic of the driver into an error. In this goroutine it would end the
// process; in the caller's the HTTP server would recover it.
func recovered[V any](ctx context.Context, log *slog.Logger, fetch func(context.Context) (V, error)) (value V, err error) {
	defer func() {
		if p := recover(); p != nil {
			// The value is not logged: it may be a record.
			log.ErrorContext(ctx, "the store panicked", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fmt.Errorf("cache: the store panicked: %w", store.ErrUnavailable)
		}
	}()
	return fetch(ctx)
}
