// Package cache answers the reads of logins and guards from memory. It works with any
// store.
//
//	cached, err := cache.New(st, cache.Config{})
//	srv, err := oauth.New(cached.Store(), oauth.Config{...})
//	go srv.Run(ctx)
//
// Logins and guards read through [store.Store.Cached]. All other reads go to the
// underlying store, so that management sees what is stored.
//
// # Consistency
//
// A cached record is used only while the stream of notifications (store.Watch) is
// complete: the stream was open before the record was read, no notification was lost
// since, and the last notification or heartbeat came less than half of Config.Bound
// ago. A gap in the numbers, a stream that broke or was opened again, or silence
// invalidates the whole cache at once. Until the stream is complete again, reads go to
// the store, and its errors are returned.
//
// So every read that begins after a change by this process returned sees the change,
// even if the call returned an error. A change by another process is seen when its
// notification comes, and at most Bound after the change if the notification is lost. A
// token that was issued from an outdated record has the outdated epoch. It is refused
// once the verifier has the new one.
//
// If a token's epoch is higher than the cached one, the store is read again before the
// token is refused. There is one such read at a time for each key.
//
// A key is cached together with its settings, and read again when one of them changes.
// It is found by one of its credentials only if the cached record has that credential. That
// no key has a credential is not cached. Last uses send no notifications. Every record is read
// again after a minute, and so is the absence of a key.
//
// # Following the stream
//
// The Watch of the store that Store returns must be running. oauth.Server.Run runs it;
// a host without a Server calls Cache.Run. While it does not run, everything is read
// from the store, and one warning in the log says so.
package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Config configures a Cache. The zero value of each field is the production default.
type Config struct {
	// Bound is the longest time for which a cached answer may be outdated, in real
	// time. Default 1 second; 500 milliseconds to 1 minute. After half of it without
	// a heartbeat the cache is not used, so a short bound on a busy machine causes
	// more reads from the store.
	Bound time.Duration
	// Entries is the largest number of keys in the cache. Default 100,000; 64 to
	// 10,000,000. The cache also holds the epochs of as many tokens, as many ids of
	// credentials, and a sixteenth as many unknown ids of keys.
	Entries int
	// Logger receives warnings and errors. Default slog.Default().
	Logger *slog.Logger
}

// DefaultBound is the default of Config.Bound.
const DefaultBound = time.Second

const (
	// maxAge is the age at which a record is read again, even without a notification.
	// Last uses, and changes made without the driver, send no notification.
	maxAge = time.Minute
	// maxName is the longest id, in bytes, for which epochs and unknown ids are
	// cached. The id of a key is never longer. The id of a workspace can be, if it is
	// not ASCII: the epochs of its tokens are then read from the store each time.
	maxName = 255
)

// Cache implements store.Reads from memory. It is safe for concurrent use. It starts
// goroutines only for reads that a caller waits for.
type Cache struct {
	inner store.Store
	cfg   Config
	seed  maphash.Seed
	now   func() time.Time // real time, for the age of records

	feed     feed
	versions versions

	found   *table[string, store.Found]
	missing *table[string, struct{}]
	// owners holds the ids of keys by the ids of their credentials. They are hints, and never
	// too old: the key's record shows whether it still has the credential.
	owners *table[string, string]
	states *table[token, state]

	lookups *flights[query, store.Found]
	reads   *flights[token, state]
	checks  *flights[token, state] // by workspace and key only

	created time.Time
	warned  atomic.Bool
}

// New returns a Cache for st, whose Keys, Secrets, Epochs and Watch must be set. It joins all
// problems into one error; each names its field.
func New(st store.Store, cfg Config) (*Cache, error) {
	cfg, problems := cfg.complete()
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Keys", st.Keys == nil},
		{"Secrets", st.Secrets == nil},
		{"Epochs", st.Epochs == nil},
		{"Watch", st.Watch == nil},
	} {
		if need.missing {
			problems = append(problems, fmt.Errorf("Store.%s is missing: use a driver that offers it", need.name))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	c := &Cache{
		inner: st, cfg: cfg, seed: maphash.MakeSeed(),
		feed:    feed{half: cfg.Bound / 2},
		found:   newTable[string, store.Found](cfg.Entries),
		missing: newTable[string, struct{}](cfg.Entries / 16),
		owners:  newTable[string, string](cfg.Entries),
		states:  newTable[token, state](cfg.Entries),
		lookups: newFlights[query, store.Found](cfg),
		reads:   newFlights[token, state](cfg),
		checks:  newFlights[token, state](cfg),
	}
	c.now = time.Now
	c.created = c.now()
	return c, nil
}

func (cfg Config) complete() (Config, []error) {
	var problems []error
	cfg.Bound = cmp.Or(cfg.Bound, DefaultBound)
	if cfg.Bound < 500*time.Millisecond || cfg.Bound > time.Minute {
		problems = append(problems, fmt.Errorf("Config.Bound is %s; it must be from 500ms to 1m", cfg.Bound))
	}
	cfg.Entries = cmp.Or(cfg.Entries, 100_000)
	if cfg.Entries < 64 || cfg.Entries > 10_000_000 {
		problems = append(problems, fmt.Errorf("Config.Entries is %d; it must be from 64 to 10000000", cfg.Entries))
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return cfg, problems
}

// Store returns the underlying store with Cached set, and with records that invalidate
// the cache when they are changed. Fields that are nil stay nil.
func (c *Cache) Store() store.Store {
	st := c.inner
	st.Cached = c
	st.Keys = &keys{st.Keys, c}
	st.Epochs = &epochs{st.Epochs, c}
	st.Watch = &watch{c}
	if st.Upkeep != nil {
		st.Upkeep = &upkeep{st.Upkeep, c}
	}
	if st.Settings != nil {
		st.Settings = &settings{st.Settings, c}
	}
	return st
}

// Usable reports whether the cache can be used now: the stream of notifications is
// complete.
func (c *Cache) Usable() bool {
	_, usable := c.feed.generation(c.now())
	return usable
}

// Run follows the stream of notifications until ctx ends, and opens it again when it
// breaks. It is for a host without an oauth.Server, whose Run does the same.
func (c *Cache) Run(ctx context.Context) {
	store.Follow(ctx, &watch{c}, func() {}, func(store.Notification) {}, func(err error) {
		c.cfg.Logger.WarnContext(ctx, "the store's stream of changes broke; records are read from the store until it is open again", "error", err)
	})
}

// warnUnfollowed is called by each read that bypasses the cache. It warns once if the
// stream was never open, but not within the first seconds after the start.
func (c *Cache) warnUnfollowed(ctx context.Context, now time.Time) {
	const patience = 10 * time.Second
	if c.feed.followed.Load() || now.Sub(c.created) < patience || c.warned.Swap(true) {
		return
	}
	c.cfg.Logger.WarnContext(ctx, "nothing is cached, since the store's stream of changes was never opened: call oauth.Server.Run or cache.Cache.Run")
}

func (c *Cache) hash(name string) uint64 { return maphash.String(c.seed, name) }

func fail(operation string, err error) error {
	return fmt.Errorf("cache: %s: %w", operation, err)
}

// errUnknown and errNoEpochs are made once, since they may be returned often.
var (
	errUnknown  = fail("look up key", store.ErrNotFound)
	errNoEpochs = fail("read epochs", store.ErrNotFound)
)
