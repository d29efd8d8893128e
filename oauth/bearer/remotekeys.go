package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// Defaults and bounds of a RemoteKeysConfig.
const (
	DefaultRefresh     = 5 * time.Minute
	DefaultCooldown    = time.Minute
	DefaultMaxStale    = 24 * time.Hour
	DefaultKeysTimeout = 5 * time.Second

	minCooldown = time.Second // also the least Refresh
	maxRefresh  = 24 * time.Hour
	maxMaxStale = 30 * 24 * time.Hour
	// retryEmpty is the default of Retry. It is short, so that the recovery of the
	// issuer is noticed soon.
	retryEmpty = 2 * time.Second
)

// RemoteKeysConfig configures a RemoteKeys. A duration of zero means the
// default; a negative one is an error.
type RemoteKeysConfig struct {
	// URL is the URL of the issuer's JWKS document: https, without user name
	// and fragment. Required, unless Issuer is set. Redirects are refused.
	URL string
	// Issuer is the issuer's identifier, an https URL. If URL is empty, each fetch
	// reads the URL of the document from the issuer's metadata (OpenID Connect Discovery
	// 1.0, section 4), which must name the issuer byte for byte.
	Issuer string
	// Parse reads a document of another form. It returns at least one key, by its kid,
	// or an error, which is logged and must contain no part of the document. Nil: the
	// document is a JWK Set, with the bounds of StaticKeys.
	Parse func(document []byte) (map[string]PublicKey, error)
	// SkipWrong makes a JWK Set usable that has wrong keys beside good ones. Of several
	// good keys with the same kid, the first is used. A set without usable keys replaces
	// the last one: the issuer has withdrawn its keys.
	SkipWrong bool
	// InsecureLoopback also allows http, for localhost and loopback addresses.
	InsecureLoopback bool
	// Client makes the requests; its redirect policy and cookies are not used.
	// Nil: a new client, which takes its proxy from the environment.
	Client *http.Client
	// Timeout bounds a fetch from the dial to the last byte: up to one minute.
	// Zero: DefaultKeysTimeout.
	Timeout time.Duration
	// Refresh is the age at which the set is fetched again: one second to 24
	// hours. Tokens of a key that the issuer removed work until then. Zero:
	// DefaultRefresh.
	Refresh time.Duration
	// Cooldown is the minimum time between two fetches: one second to Refresh.
	// It limits how many requests tokens with made-up kids can cause at the
	// issuer. A new key should be published this long before its first use.
	// Zero: DefaultCooldown, or Refresh if that is shorter.
	Cooldown time.Duration
	// Retry is the Cooldown while there is no usable set: one second to Cooldown. Zero:
	// two seconds, or Cooldown if that is shorter.
	Retry time.Duration
	// MaxStale is how old the last good set may be while no new one can be
	// fetched: Refresh to 30 days. An older set is not used: every token is
	// refused with 503. Zero: DefaultMaxStale.
	MaxStale time.Duration
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// Logger logs failed fetches and the first successful one after them. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// RemoteKeys is a key set that an issuer publishes at a URL. It is cached in
// memory and fetched for the first token; Run keeps it fresh. An answer of more
// than 64 KiB, or one that Parse refuses, leaves the set unchanged. It is safe for
// concurrent use.
type RemoteKeys struct {
	config   RemoteKeysConfig
	endpoint endpoint
	state    atomic.Pointer[keyState]
	running  atomic.Int32 // calls of Run
}

// keyState is the current state. It is immutable. While a fetch runs, only that fetch
// stores the next state.
type keyState struct {
	keys     map[string]PublicKey // nil: no fetch has succeeded
	fetched  time.Time            // when the fetch of keys began
	tried    time.Time            // when the last fetch began; zero: never
	failed   bool                 // whether the last finished fetch failed
	inFlight chan struct{}        // closed when the running fetch ends; nil: none runs
}

var errNoKeys = errors.New("bearer: remote keys: the issuer's keys cannot be fetched")

// NewRemoteKeys checks the configuration and returns an empty set; it makes no
// request and starts no goroutine. It joins all problems into one error, each
// naming its field.
func NewRemoteKeys(config RemoteKeysConfig) (*RemoteKeys, error) {
	config.Timeout = cmp.Or(config.Timeout, DefaultKeysTimeout)
	config.Refresh = cmp.Or(config.Refresh, DefaultRefresh)
	config.Cooldown = cmp.Or(config.Cooldown, min(DefaultCooldown, config.Refresh))
	config.Retry = cmp.Or(config.Retry, min(retryEmpty, config.Cooldown))
	config.MaxStale = cmp.Or(config.MaxStale, max(DefaultMaxStale, config.Refresh))
	config.Logger = cmp.Or(config.Logger, slog.Default())
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Parse == nil {
		config.Parse = config.parseJWKS
	}
	var problems []error
	bounded := func(field string, d, low, high time.Duration) {
		if d < low || d > high {
			problems = append(problems, fmt.Errorf("%s: is %v, must be %v to %v", field, d, low, high))
		}
	}
	address := config.URL
	if address == "" && config.Issuer != "" {
		address = strings.TrimSuffix(config.Issuer, "/") + "/.well-known/openid-configuration"
		if strings.Contains(config.Issuer, "?") {
			problems = append(problems, errors.New("Issuer: must not have a query"))
		}
	}
	endpoint, err := newEndpoint(address, config.InsecureLoopback, config.Client, config.Timeout)
	problems = append(problems, err)
	bounded("Refresh", config.Refresh, minCooldown, maxRefresh)
	bounded("Cooldown", config.Cooldown, minCooldown, max(config.Refresh, minCooldown))
	bounded("Retry", config.Retry, minCooldown, max(config.Cooldown, minCooldown))
	bounded("MaxStale", config.MaxStale, max(config.Refresh, minCooldown), maxMaxStale)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("bearer: remote keys: %w", err)
	}
	s := &RemoteKeys{config: config, endpoint: endpoint}
	s.state.Store(&keyState{})
	return s, nil
}

// Key implements KeySet. It returns a known key from memory, without a lock. A
// kid that is not in the set causes a fetch, unless the last one is less than a
// Cooldown ago. All callers that need the fetch wait for it, each until its ctx
// ends. ErrUnknownKey means that the last fetch succeeded and the set does not
// have the key. If the last fetch failed, the error is an outage, because the
// key may be new.
//
// The first call that finds the set older than Refresh starts a fetch. It waits
// for the fetch unless Run is running; other calls use the old set meanwhile. If it has
// waited for half of the time until the deadline of its ctx, it uses the old set too.
//
// If ctx has ended before the call, Key waits for nothing: it returns an error instead.
func (s *RemoteKeys) Key(ctx context.Context, kid string) (PublicKey, error) {
	state, now := s.state.Load(), s.config.Now()
	key, known := s.find(state, now, kid)
	if known && within(now, state.fetched, s.config.Refresh) {
		return key, nil
	}
	waits := !known || s.running.Load() == 0 && state.inFlight == nil && !within(now, state.tried, s.config.Cooldown)
	if known && waits && ctx.Err() != nil { // the next call starts the fetch, and waits for it
		return PublicKey{}, fmt.Errorf("bearer: remote keys: the set must be fetched: %w", ctx.Err())
	}
	inFlight, started := s.begin()
	if inFlight != nil && (!known || started && s.running.Load() == 0) {
		if deadline, ok := ctx.Deadline(); ok && known { // half of the time is left for what the caller does then
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, time.Until(deadline)/2) //nolint:forbidigo // a deadline is of the real clock
			defer end()
		}
		select {
		case <-inFlight:
		case <-ctx.Done():
			if known {
				break
			}
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

// Run fetches the set at once and whenever it is older than Refresh. With it,
// no request with a known key waits for a fetch, and the set is fresh even if
// no request came for a while. After a failure it tries again after a Cooldown.
// It blocks until ctx ends, and then returns nil. A running fetch may continue
// after that, for at most its Timeout.
func (s *RemoteKeys) Run(ctx context.Context) error {
	s.running.Add(1)
	defer s.running.Add(-1)
	defer s.endpoint.client.CloseIdleConnections()
	ticker := time.NewTicker(min(s.config.Cooldown, retryEmpty))
	defer ticker.Stop()
	for {
		if !within(s.config.Now(), s.state.Load().fetched, s.config.Refresh) {
			s.begin()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// find returns the key of a kid, and whether it may be used now.
func (s *RemoteKeys) find(state *keyState, now time.Time, kid string) (PublicKey, bool) {
	key, ok := state.keys[kid]
	return key, ok && s.usable(state, now)
}

func (s *RemoteKeys) usable(state *keyState, now time.Time) bool {
	// If the clock jumped back to before the fetch, the set stays usable, but it
	// is fetched again: see within.
	return state.keys != nil && now.Sub(state.fetched) < s.config.MaxStale
}

// begin starts a fetch, or returns the channel of the running one. It returns
// nil if the last fetch is too recent.
func (s *RemoteKeys) begin() (inFlight chan struct{}, started bool) {
	for {
		state, now := s.state.Load(), s.config.Now()
		if state.inFlight != nil {
			return state.inFlight, false
		}
		gap := s.config.Retry
		if s.usable(state, now) {
			gap = s.config.Cooldown
		}
		if !state.tried.IsZero() && within(now, state.tried, gap) {
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

// fetch replaces the keys if the issuer answers with a good set.
func (s *RemoteKeys) fetch(state keyState) {
	var keys map[string]PublicKey
	answer, err := s.document()
	if err == nil {
		keys, err = s.config.Parse(answer)
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
			"url", s.endpoint.url, "error", err, "keys", len(state.keys), "fetched", state.fetched)
	case recovered:
		s.config.Logger.Info("the keys at a URL are fetched again", "url", s.endpoint.url)
	}
	s.state.Store(&state)
	close(inFlight)
}

// document gets the document, from where the metadata of the Issuer says if there is one.
func (s *RemoteKeys) document() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Timeout)
	defer cancel()
	header := http.Header{"Accept": {"application/jwk-set+json, application/json"}}
	answer, err := s.endpoint.call(ctx, http.MethodGet, "", header)
	if err != nil || s.config.URL != "" {
		return answer, err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	switch err := strictjson.Unmarshal(answer, &metadata); {
	case err != nil:
		return nil, errors.New("the issuer's metadata is not well-formed")
	case metadata.Issuer != s.config.Issuer:
		return nil, errors.New("the issuer's metadata is of another issuer")
	}
	named := endpoint{url: metadata.Keys, client: s.endpoint.client, timeout: s.endpoint.timeout, fromAnswer: true}
	if err = checkAddress(named.url, s.config.InsecureLoopback); err == nil {
		answer, err = named.call(ctx, http.MethodGet, "", header)
	}
	if err != nil {
		return nil, fmt.Errorf("jwks_uri of the issuer's metadata: %w", err)
	}
	return answer, nil
}

// parseJWKS reads a JWK Set.
func (c *RemoteKeysConfig) parseJWKS(answer []byte) (map[string]PublicKey, error) {
	parse := jose.ParseKeySet
	if c.SkipWrong {
		parse = jose.UsableKeys
	}
	keys, err := parseKeys(answer, parse)
	if err == nil && len(keys) == 0 && !c.SkipWrong {
		err = errNoUsable
	}
	// The error must not contain the member's name, which is a part of the answer.
	if syntax, ok := errors.AsType[*strictjson.Error](err); ok {
		err = errors.New("JSON: " + syntax.Reason)
	}
	if err != nil {
		return nil, fmt.Errorf("the issuer's answer is not a key set: %w", err)
	}
	return keys, nil
}

// within reports whether less than d has passed since start. If now is before start,
// it reports false: the clock jumped back, so the time passed is unknown.
func within(now, start time.Time, d time.Duration) bool {
	age := now.Sub(start)
	return age >= 0 && age < d
}
