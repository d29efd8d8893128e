package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

const (
	minCooldown = time.Second // also the least Refresh
	maxRefresh  = 24 * time.Hour
	maxMaxStale = 30 * 24 * time.Hour
	// retryEmpty is the time between two fetches while there is no usable set.
	// It is short, so that the recovery of the server is noticed soon.
	retryEmpty = 2 * time.Second
)

var (
	// ErrUnknown says that the last fetch succeeded and the set does not have the key.
	ErrUnknown = errors.New("the server does not publish this key")
	// ErrNone says that the keys cannot be fetched.
	ErrNone = errors.New("the server's keys cannot be fetched")
)

// KeysConfig configures a Keys. All fields are required.
type KeysConfig[K any] struct {
	Endpoint Endpoint
	Accept   string // the header of the requests
	// Parse reads a document. It returns at least one key, by its id. Its errors
	// contain no part of the document.
	Parse func(document []byte) (map[string]K, error)
	// Refresh is the age at which the set is fetched again: one second to 24 hours.
	Refresh time.Duration
	// Cooldown is the minimum time between two fetches: one second to Refresh. While
	// there is no usable set, it is 2 seconds, or Cooldown if that is shorter.
	Cooldown time.Duration
	// MaxStale is how old the last good set may be while no new one can be fetched:
	// Refresh to 30 days.
	MaxStale time.Duration
	Now      func() time.Time
	Logger   *slog.Logger
}

// Keys is a set of keys that a server publishes at a URL. It is cached in memory and
// fetched for the first key; Run keeps it fresh. A document that Parse refuses leaves
// the set unchanged. It is safe for concurrent use.
type Keys[K any] struct {
	config  KeysConfig[K]
	state   atomic.Pointer[keyState[K]]
	running atomic.Int32 // calls of Run
}

// keyState is the current state. It is immutable. While a fetch runs, only that fetch
// stores the next state.
type keyState[K any] struct {
	keys     map[string]K  // nil: no fetch has succeeded
	fetched  time.Time     // when the fetch of keys began
	tried    time.Time     // when the last fetch began; zero: never
	failed   bool          // whether the last finished fetch failed
	inFlight chan struct{} // closed when the running fetch ends; nil: none runs
}

// NewKeys checks the durations of the configuration and returns an empty set. It makes no
// request and starts no goroutine. It joins all problems into one error, each naming its
// field.
func NewKeys[K any](config KeysConfig[K]) (*Keys[K], error) {
	var problems []error
	bounded := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			problems = append(problems, fmt.Errorf("%s: is %v, must be %v to %v", field, d, low, high))
		}
	}
	bounded("Refresh", config.Refresh, minCooldown, maxRefresh)
	bounded("Cooldown", config.Cooldown, minCooldown, max(config.Refresh, minCooldown))
	bounded("MaxStale", config.MaxStale, max(config.Refresh, minCooldown), maxMaxStale)
	s := &Keys[K]{config: config}
	s.state.Store(&keyState[K]{})
	return s, errors.Join(problems...)
}

// Key returns a known key from memory, without a lock. An id that is not in the set
// causes a fetch, unless the last one is less than a Cooldown ago. All callers that
// need the fetch wait for it, each until its ctx ends. The error is ErrUnknown if the
// last fetch succeeded and the set does not have the key, ErrNone if the last fetch
// failed, because the key may be new, or the error of ctx.
//
// The first call that finds the set older than Refresh starts a fetch. It waits for the
// fetch unless Run is running; other calls use the old set meanwhile.
func (s *Keys[K]) Key(ctx context.Context, kid string) (K, error) {
	var none K
	state, now := s.state.Load(), s.config.Now()
	key, known := s.find(state, now, kid)
	if known && Within(now, state.fetched, s.config.Refresh) {
		return key, nil
	}
	inFlight, started := s.begin()
	if inFlight != nil && (!known || started && s.running.Load() == 0) {
		select {
		case <-inFlight:
		case <-ctx.Done():
			return none, fmt.Errorf("wait for the server's keys: %w", ctx.Err())
		}
	}
	state, now = s.state.Load(), s.config.Now()
	key, known = s.find(state, now, kid)
	switch {
	case known:
		return key, nil
	case state.failed || !s.usable(state, now):
		return none, ErrNone
	}
	return none, ErrUnknown
}

// Run fetches the set at once and whenever it is older than Refresh. With it,
// no request with a known key waits for a fetch, and the set is fresh even if
// no request came for a while. After a failure it tries again after a Cooldown.
// It blocks until ctx ends. A running fetch may continue
// after that, for at most its Timeout.
func (s *Keys[K]) Run(ctx context.Context) {
	s.running.Add(1)
	defer s.running.Add(-1)
	defer s.config.Endpoint.client.CloseIdleConnections()
	ticker := time.NewTicker(min(s.config.Cooldown, retryEmpty))
	defer ticker.Stop()
	for {
		if !Within(s.config.Now(), s.state.Load().fetched, s.config.Refresh) {
			s.begin()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// find returns the key of a kid, and whether it may be used now.
func (s *Keys[K]) find(state *keyState[K], now time.Time, kid string) (K, bool) {
	key, ok := state.keys[kid]
	return key, ok && s.usable(state, now)
}

func (s *Keys[K]) usable(state *keyState[K], now time.Time) bool {
	// If the clock jumped back to before the fetch, the set stays usable, but it
	// is fetched again: see within.
	return state.keys != nil && now.Sub(state.fetched) < s.config.MaxStale
}

// gap is the minimum time between two fetches.
func (s *Keys[K]) gap(state *keyState[K], now time.Time) time.Duration {
	if s.usable(state, now) {
		return s.config.Cooldown
	}
	return min(s.config.Cooldown, retryEmpty)
}

// begin starts a fetch, or returns the channel of the running one. It returns
// nil if the last fetch is too recent.
func (s *Keys[K]) begin() (inFlight chan struct{}, started bool) {
	for {
		state, now := s.state.Load(), s.config.Now()
		if state.inFlight != nil {
			return state.inFlight, false
		}
		if !state.tried.IsZero() && Within(now, state.tried, s.gap(state, now)) {
			return nil, false
		}
		next := *state
		next.tried, next.inFlight = now, make(chan struct{})
		if s.state.CompareAndSwap(state, &next) {
			go s.fetch(next)
			return next.inFlight, true
		}
	}
}

// fetch replaces the keys if the server answers with a good set.
func (s *Keys[K]) fetch(state keyState[K]) {
	var keys map[string]K
	document, err := s.config.Endpoint.Call(http.MethodGet, "", http.Header{"Accept": {s.config.Accept}})
	if err == nil {
		keys, err = s.config.Parse(document)
	}
	recovered := err == nil && state.failed
	inFlight := state.inFlight
	state.inFlight, state.failed = nil, err != nil
	if err == nil {
		state.keys, state.fetched = keys, state.tried
	}
	switch {
	case err != nil:
		s.config.Logger.Error("the keys at a URL could not be fetched; the last good set, if there is one, is used until it is too old",
			"url", s.config.Endpoint.URL, "error", err, "keys", len(state.keys), "fetched", state.fetched)
	case recovered:
		s.config.Logger.Info("the keys at a URL are fetched again", "url", s.config.Endpoint.URL)
	}
	s.state.Store(&state)
	close(inFlight)
}

// Within reports whether less than d has passed since start. If now is before start,
// it reports false: the clock jumped back, so the time passed is unknown.
func Within(now, start time.Time, d time.Duration) bool {
	age := now.Sub(start)
	return age >= 0 && age < d
}
