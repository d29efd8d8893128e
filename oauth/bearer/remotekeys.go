package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Defaults and bounds of a RemoteKeysConfig.
const (
	DefaultRefresh     = 5 * time.Minute
	DefaultCooldown    = time.Minute
	DefaultMaxStale    = 24 * time.Hour
	DefaultKeysTimeout = 5 * time.Second

	minCooldown = time.Second
	maxRefresh  = 24 * time.Hour
	maxMaxStale = 30 * 24 * time.Hour
	// retryEmpty is how soon a fetch is tried again while there is no set to
	// go on with, so that an issuer that is back is noticed within seconds.
	retryEmpty = 2 * time.Second
)

// RemoteKeysConfig says where a RemoteKeys finds its keys. Durations of
// zero mean the defaults; a negative one is an error.
type RemoteKeysConfig struct {
	// URL is that of the issuer's JWKS document: https, without user name and
	// fragment. Required. Redirects are refused.
	URL string
	// InsecureLoopback also allows http, for localhost and loopback addresses.
	InsecureLoopback bool
	// Client makes the requests; its redirect policy and cookies are not used.
	// Nil: a client of the set's own, which takes its proxy from the
	// environment.
	Client *http.Client
	// Timeout bounds a fetch from the dial to the last byte: up to one minute.
	Timeout time.Duration
	// Refresh is how old the set may be before it is fetched again: one second
	// to 24 hours. A key that the issuer removes ends its tokens after that.
	Refresh time.Duration
	// Cooldown is the least time between two fetches: one second to Refresh.
	// It bounds what tokens with made-up kids can cost the issuer, and it is
	// how long before its first use a new key should be published. While there
	// is no set to go on with, fetches are two seconds apart, or a Cooldown if
	// that is shorter. Zero: DefaultCooldown, or Refresh if that is shorter.
	Cooldown time.Duration
	// MaxStale is how old the last good set may be while no new one can be
	// fetched: Refresh to 30 days. After that no token is taken, and the answer
	// is 503. Zero: DefaultMaxStale.
	MaxStale time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger is told of failed fetches and of the first good one after them.
	// Nil: slog.Default().
	Logger *slog.Logger
}

// RemoteKeys is the key set that an issuer publishes at a URL, held in
// memory. It is fetched when the first token comes; Run keeps it fresh.
// An answer is bounded as StaticKeys bounds a set, and one that StaticKeys
// would refuse leaves the set as it was. It is safe for concurrent use.
type RemoteKeys struct {
	config   RemoteKeysConfig
	endpoint endpoint
	state    atomic.Pointer[keyState]
	running  atomic.Int32 // calls of Run
}

// keyState is what is known; it never changes. Readers load the latest, the
// goroutine that sets flight is the only one to store the next.
type keyState struct {
	keys    staticKeys    // nil: no fetch ever succeeded
	fetched time.Time     // when the fetch of keys began
	tried   time.Time     // when the last fetch began; zero: none has
	failed  bool          // the last fetch that ended
	flight  chan struct{} // closed when the fetch under way ends; nil: none is
}

var errNoKeys = errors.New("bearer: remote keys: the issuer's keys cannot be fetched")

// NewRemoteKeys checks the configuration and returns an empty set; it makes no
// request and starts no goroutine. It joins all problems into one error, each
// naming its field.
func NewRemoteKeys(config RemoteKeysConfig) (*RemoteKeys, error) {
	config.Timeout = cmp.Or(config.Timeout, DefaultKeysTimeout)
	config.Refresh = cmp.Or(config.Refresh, DefaultRefresh)
	config.Cooldown = cmp.Or(config.Cooldown, min(DefaultCooldown, config.Refresh))
	config.MaxStale = cmp.Or(config.MaxStale, max(DefaultMaxStale, config.Refresh))
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	var problems []error
	bounded := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			problems = append(problems, fmt.Errorf("%s: is %v, not %v to %v", field, d, low, high))
		}
	}
	endpoint, err := newEndpoint(config.URL, config.InsecureLoopback, config.Client, config.Timeout)
	if err != nil {
		problems = append(problems, err)
	}
	bounded("Refresh", config.Refresh, minCooldown, maxRefresh)
	bounded("Cooldown", config.Cooldown, minCooldown, max(config.Refresh, minCooldown))
	bounded("MaxStale", config.MaxStale, max(config.Refresh, minCooldown), maxMaxStale)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: remote keys: %w", err)
	}
	s := &RemoteKeys{config: config, endpoint: endpoint}
	s.state.Store(&keyState{})
	return s, nil
}

// Key implements KeySet. A known key is answered from memory, without lock. A
// kid that is not in the set causes a fetch unless the last one is less than
// a Cooldown ago; those who ask meanwhile wait for it, each as long as its ctx
// allows. ErrUnknownKey says that the last fetch succeeded and does not have
// the key; if it failed, the answer is an outage, since the key may be new.
//
// The first to find the set older than Refresh starts a fetch, and waits for
// it unless Run is running; others go on with what there is.
func (s *RemoteKeys) Key(ctx context.Context, kid string) (PublicKey, error) {
	state, now := s.state.Load(), s.config.Now()
	key, known := s.find(state, now, kid)
	if known && within(now, state.fetched, s.config.Refresh) {
		return key, nil
	}
	flight, mine := s.begin()
	if flight != nil && (!known || mine && s.running.Load() == 0) {
		select {
		case <-flight:
		case <-ctx.Done():
			return PublicKey{}, fmt.Errorf("bearer: remote keys: wait for the issuer: %w", ctx.Err())
		}
	}
	state, now = s.state.Load(), s.config.Now()
	key, known = s.find(state, now, kid)
	switch {
	case known:
		return key, nil
	case state.failed || !s.usable(state, now):
		return PublicKey{}, errNoKeys
	}
	return PublicKey{}, ErrUnknownKey
}

// Run fetches the set at once and whenever it is older than Refresh, so that
// no request with a known key waits for that, and the first request after a
// quiet time finds a fresh set.
// After a failure it tries again after a Cooldown. It works in the caller's
// goroutine until ctx ends, and then returns nil; a fetch under way may take
// its Timeout longer.
func (s *RemoteKeys) Run(ctx context.Context) error {
	s.running.Add(1)
	defer s.running.Add(-1)
	defer s.endpoint.client.CloseIdleConnections()
	look := time.NewTicker(min(s.config.Cooldown, retryEmpty))
	defer look.Stop()
	for {
		if !within(s.config.Now(), s.state.Load().fetched, s.config.Refresh) {
			s.begin()
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// find returns a key that may be used now.
func (s *RemoteKeys) find(state *keyState, now time.Time, kid string) (PublicKey, bool) {
	key, ok := state.keys[kid]
	return key, ok && s.usable(state, now)
}

func (s *RemoteKeys) usable(state *keyState, now time.Time) bool {
	// A clock that jumped back behind the fetch ends nothing: the set is
	// fetched again, since it does not count as within Refresh.
	return state.keys != nil && now.Sub(state.fetched) < s.config.MaxStale
}

// gap is the least time between two fetches.
func (s *RemoteKeys) gap(state *keyState, now time.Time) time.Duration {
	if s.usable(state, now) {
		return s.config.Cooldown
	}
	return min(s.config.Cooldown, retryEmpty)
}

// begin starts a fetch and reports mine, or returns the one under way. It
// returns nil if the last one is too recent.
func (s *RemoteKeys) begin() (flight chan struct{}, mine bool) {
	for {
		state, now := s.state.Load(), s.config.Now()
		if state.flight != nil {
			return state.flight, false
		}
		if !state.tried.IsZero() && within(now, state.tried, s.gap(state, now)) {
			return nil, false
		}
		next := *state
		next.tried, next.flight = now, make(chan struct{})
		if s.state.CompareAndSwap(state, &next) {
			go s.fetch(next)
			return next.flight, true
		}
	}
}

// fetch replaces the keys if the issuer has better ones.
func (s *RemoteKeys) fetch(state keyState) {
	keys, err := s.load()
	recovered := err == nil && state.failed
	flight := state.flight
	state.flight, state.failed = nil, err != nil
	if err == nil {
		state.keys, state.fetched = keys, state.tried
	}
	switch {
	case err != nil:
		s.config.Logger.Error("the issuer's keys could not be fetched; the last good set is used until it is too old",
			"url", s.endpoint.url, "error", err, "set", len(state.keys), "fetched", state.fetched)
	case recovered:
		s.config.Logger.Info("the issuer's keys are fetched again", "url", s.endpoint.url)
	}
	s.state.Store(&state)
	close(flight)
}

func (s *RemoteKeys) load() (staticKeys, error) {
	answer, err := s.endpoint.call(http.MethodGet, "", http.Header{
		"Accept": {"application/jwk-set+json, application/json"},
	})
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(answer)
	// The name of a member at fault would be a part of the answer.
	var syntax *strictjson.Error
	if errors.As(err, &syntax) {
		return nil, fmt.Errorf("the answer is no key set: JSON: %s", syntax.Reason)
	}
	return keys, err
}

// within reports whether now is less than d after then. A clock that jumped
// back is outside: nobody knows how much time has passed.
func within(now, then time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= 0 && age < d
}
