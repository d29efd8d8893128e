// Package cache answers the reads of a login and of a guard from memory, over
// any store.
//
//	cached, err := cache.New(st, cache.Config{})
//	srv, err := oauth.New(cached.Store(), oauth.Config{...})
//	go srv.Run(ctx)
//
// Logins and guards read through [store.Store.Cached]. All other reads go to
// the store below, so that management sees what is stored.
//
// # What it may answer
//
// A record is answered from memory only while the stream of notices
// (store.Watch) is whole: it was open before the record was read, no notice was
// lost since, and the last notice or heartbeat came less than half of
// Config.Bound ago. A gap in the numbers, a stream that broke or was opened
// again, or silence puts everything in memory out of use at once. Until the
// stream is whole again, reads go to the store, and its errors are returned.
//
// So a change made here is seen by every read that begins after it returned,
// even if it returned an error. A change made by another process is seen once its
// notice comes, and after Bound at the latest if the notice never comes. A token that
// was issued on an outdated record has its epoch, and is refused once the verifier
// knows the new one.
//
// A token whose epoch is higher than the one in memory is not refused before
// the store was read again. Such reads are made one at a time for each key.
//
// A key is held together with the settings around it, and read again once any of them
// changes. Of last uses there are no notices. What was read is read again after a minute,
// also that there is no such key.
//
// # Who watches
//
// Somebody must follow the Watch of the store that Store returns:
// oauth.Server.Run does; a host without one calls Cache.Run. While nobody
// does, everything is read from the store, and one warning says so.
package cache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Config adjusts a Cache. The zero value of each field is the production
// default.
type Config struct {
	// Bound is how long an answer from memory may miss a change, in real time.
	// Default 1 second; 500 milliseconds to 1 minute. After half of it without a
	// heartbeat nothing is answered from memory, so that a short bound on a busy
	// machine means more reads from the store.
	Bound time.Duration
	// Entries is how many keys are held. Default 100,000; 64 to 10,000,000.
	// As many tokens' epochs are held besides, and a sixteenth as many unknown ids.
	Entries int
	// Logger takes warnings. Default slog.Default().
	Logger *slog.Logger
}

// DefaultBound is Config.Bound where that is zero.
const DefaultBound = time.Second

const (
	// maxAge is when a record is read again, whatever the stream says: for
	// last uses and for changes past the driver, of which no notice comes.
	maxAge = time.Minute
	// maxName is the longest id, in bytes, that epochs and unknown ids are
	// remembered under. Keys have none that is longer. A workspace may, if its id
	// is not ASCII: the epochs of its tokens are then read from the store each time.
	maxName = 255
)

// Cache implements store.Reads from memory. It is safe for concurrent use, and
// starts no goroutine but those that a caller waits for.
type Cache struct {
	inner store.Store
	cfg   Config
	seed  maphash.Seed
	now   func() time.Time // real time, by which records become stale

	feed     feed
	versions versions

	found   *table[string, store.Found]
	missing *table[string, struct{}]
	states  *table[token, state]

	lookups *flights[string, store.Found]
	reads   *flights[token, state]
	checks  *flights[token, state] // of keys: no secret, no token id

	born   time.Time
	warned atomic.Bool
}

// New checks cfg and returns a Cache over st, which needs Keys, Epochs and
// Watch. All problems are joined into one error, each naming its field.
func New(st store.Store, cfg Config) (*Cache, error) {
	cfg, problems := cfg.complete()
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Keys", st.Keys == nil},
		{"Epochs", st.Epochs == nil},
		{"Watch, without which nothing may be kept", st.Watch == nil},
	} {
		if need.missing {
			problems = append(problems, fmt.Errorf("Store.%s is missing", need.name))
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
		states:  newTable[token, state](cfg.Entries),
		lookups: newFlights[string, store.Found](cfg),
		reads:   newFlights[token, state](cfg),
		checks:  newFlights[token, state](cfg),
	}
	c.now = time.Now
	c.born = c.now()
	return c, nil
}

func (cfg Config) complete() (Config, []error) {
	var problems []error
	if cfg.Bound == 0 {
		cfg.Bound = DefaultBound
	}
	if cfg.Bound < 500*time.Millisecond || cfg.Bound > time.Minute {
		problems = append(problems, fmt.Errorf("Config.Bound is %s; it must be from 500ms to 1m", cfg.Bound))
	}
	if cfg.Entries == 0 {
		cfg.Entries = 100_000
	}
	if cfg.Entries < 64 || cfg.Entries > 10_000_000 {
		problems = append(problems, fmt.Errorf("Config.Entries is %d; it must be from 64 to 10000000", cfg.Entries))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, problems
}

// Store returns the store below with Cached set, and with records whose
// changes the cache sees. Fields that are nil below stay nil.
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

// Vouched reports whether reads can be answered from memory now.
func (c *Cache) Vouched() bool {
	_, vouched := c.feed.generation(c.now())
	return vouched
}

// Run follows the stream of notices until ctx ends, and opens it again when it
// breaks. It is for a host that runs no oauth.Server, whose Run does the same.
func (c *Cache) Run(ctx context.Context) {
	const first, last = 50 * time.Millisecond, 2 * time.Second
	wait, open := first, true
	for {
		err := (&watch{c}).Watch(ctx, func() { wait, open = first, true }, func(store.Notice) {})
		if ctx.Err() != nil {
			return
		}
		if open {
			c.cfg.Logger.WarnContext(ctx, "the stream of changes broke; until it is open again records are read from the store", "error", err)
		}
		open = false
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, last)
	}
}

// unvouched is called by each read that goes to the store because there is
// no stream. It warns once if there never was one: at a start one comes soon.
func (c *Cache) unvouched(ctx context.Context, now time.Time) {
	const patience = 10 * time.Second
	if c.feed.followed.Load() || now.Sub(c.born) < patience || c.warned.Swap(true) {
		return
	}
	c.cfg.Logger.WarnContext(ctx, "nobody follows the store's stream of changes, so nothing is cached: run oauth.Server.Run or cache.Cache.Run")
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
