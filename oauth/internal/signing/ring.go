// Package signing has the keys that sign tokens. They are the host's own, or the
// ring makes and rotates them, together with all replicas that share a store. A key
// that the ring makes
//
//   - is published for 10 minutes, longer than caches keep the published set,
//   - then signs for Config.RotateEvery, until the next key begins to sign,
//   - then still verifies and is published for 25 hours and 5 minutes, as long as
//     one of its tokens can be accepted anywhere,
//   - and is removed.
//
// These times are in its record in the store. Every replica follows them, so all
// begin to use the next key at the same time.
package signing

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	// MaxAge is how long clients may cache the JWKS.
	MaxAge = 5 * time.Minute
	// StepEvery is how often a server calls Step.
	StepEvery = time.Minute

	// requestTimeout bounds how long a request waits for another one that reads the
	// store, and how long its own read may take.
	requestTimeout = 500 * time.Millisecond
	// unknownKeyGap is the least time between two reads because of unknown kids.
	unknownKeyGap = 5 * time.Second
	// staleAfter is the age at which a request reads the store again, on a server
	// that does not call Step. Together with MaxAge it is less than lead, so that a key
	// is known everywhere before it signs.
	staleAfter = 2 * StepEvery
)

// Config configures a ring.
type Config struct {
	// Signers are the host's keys; the first signs. If they are set, no other field
	// is used. Otherwise the ring makes its keys, and all other fields but SealKeys
	// and Withdrawn are required.
	Signers []*jose.Signer
	// Store keeps the keys that the ring makes.
	Store store.SigningKeys
	// SealKeys encrypt the keys in the store: the first encrypts, and all decrypt.
	// If there are none, the keys stay in the memory of the Ring, and Store is not
	// used.
	SealKeys []SealKey
	// Withdrawn names seal keys that are lost, such as "seal key 1". The signing
	// keys that they sealed are removed.
	Withdrawn []string
	// Issuer is the server's issuer. Only a ring with the same issuer can open the
	// keys.
	Issuer string
	// Algorithm is the algorithm of the keys to be made. It must be one with a
	// public key.
	Algorithm jose.Algorithm
	// RotateEvery is how long a key signs.
	RotateEvery time.Duration
	// Now is the clock of this process.
	Now func() time.Time
	// StoreClock reads the store's clock. The zero time means that the store has
	// none.
	StoreClock func(context.Context) (time.Time, error)
	// CheckClock reports whether the clock of this process is right enough to
	// rotate keys.
	CheckClock func(context.Context) (bool, error)
	// Logger receives warnings, and a line for each key that is made.
	Logger *slog.Logger
}

// Ring is a set of signing keys. A server calls Start once, Step every
// StepEvery, Signer for each token that it makes and Key for each that it
// verifies. A Ring is safe for concurrent use.
type Ring struct {
	cfg     Config // without SealKeys, which sealer has
	sealer  *sealer
	shared  bool // other processes change the stored keys too
	current atomic.Pointer[keySet]
	// lastBegin is the NotBefore, in Unix microseconds, of the key that Signer
	// returned last. If the clock is set back, Signer does not return the key
	// before it.
	lastBegin atomic.Int64
	lastRead  atomic.Pointer[reading]
	// lock has a capacity of one. The call that reads and writes the store holds
	// it.
	lock chan struct{}
}

// keySet is the content of the ring at one time. It never changes.
type keySet struct {
	keys   []key // by the time at which they begin to sign
	verify map[string]bearer.PublicKey
	jwks   []byte
}

// key is one key of a ring. The host's own have no record.
type key struct {
	store.SigningKey
	signer *jose.Signer
}

// reading is an attempt to read the store.
type reading struct {
	at  time.Time
	err error
}

// New returns a ring. A ring that makes its keys has none before Start. Two signers
// with the same kid are an error.
func New(cfg Config) (*Ring, error) {
	r := &Ring{cfg: cfg, shared: len(cfg.SealKeys) > 0, lock: make(chan struct{}, 1)}
	r.current.Store(&keySet{})
	r.lastRead.Store(&reading{})
	if len(cfg.Signers) > 0 {
		keys := make([]key, len(cfg.Signers))
		for i, signer := range cfg.Signers {
			keys[i].signer = signer
		}
		return r, r.publish(keys)
	}
	if !r.shared {
		var random [32]byte
		_, _ = rand.Read(random[:])
		cfg.SealKeys, r.cfg.Store = []SealKey{{1, random}}, memstore.New().SigningKeys
	}
	var err error
	r.sealer, err = newSealer(cfg.Issuer, cfg.SealKeys, cfg.Withdrawn)
	r.cfg.SealKeys = nil
	return r, err
}

// Signer returns the key that signs now: the last one whose time has begun. If none
// has begun, because the clock is slow, it returns the first.
func (r *Ring) Signer(ctx context.Context) *jose.Signer {
	if len(r.cfg.Signers) > 0 {
		return r.cfg.Signers[0]
	}
	keys := r.latest(ctx).keys
	now, last := r.cfg.Now().UnixMicro(), r.lastBegin.Load()
	if last <= now+r.farAhead().Microseconds() { // otherwise the clock was wrong when last was stored
		now = max(now, last)
	}
	i := len(keys) - 1
	for i > 0 && keys[i].NotBefore.UnixMicro() > now {
		i--
	}
	if begin := keys[i].NotBefore.UnixMicro(); begin != last {
		r.lastBegin.CompareAndSwap(last, begin)
	}
	return keys[i].signer
}

// farAhead is how far in the future a key can begin. A key that begins later was
// made by a process with a wrong clock. It is one rotation more than lead, for
// processes whose clocks are slow.
func (r *Ring) farAhead() time.Duration { return lead + r.cfg.RotateEvery }

// JWKS returns the public keys as a JWK Set (RFC 7517), which must not be changed.
func (r *Ring) JWKS(ctx context.Context) []byte { return r.latest(ctx).jwks }

// Key implements bearer.KeySet. Another replica may have just made a key that is
// not known here, so Key reads the store again, but not at every call.
func (r *Ring) Key(ctx context.Context, kid string) (bearer.PublicKey, error) {
	k, known := r.current.Load().verify[kid]
	if !known && r.shared {
		err := r.readOnce(ctx)
		if k, known = r.current.Load().verify[kid]; !known && err != nil {
			return k, fmt.Errorf("the key is not known and the store could not be read again: %w", err)
		}
	}
	if !known {
		return k, bearer.ErrUnknownKey
	}
	return k, nil
}

// latest returns the keys. If the store was not read for staleAfter, it reads them
// again, so that a server that does not call Step uses the same keys as the others.
func (r *Ring) latest(ctx context.Context) *keySet {
	if r.shared && r.lastWithin(staleAfter) == nil {
		select {
		case r.lock <- struct{}{}:
			defer r.release()
			if err := r.readForRequest(ctx); err != nil {
				r.cfg.Logger.WarnContext(ctx, "the signing keys could not be read again; those read before are used", "error", err)
			}
		default: // another call is reading; use the keys read before
		}
	}
	return r.current.Load()
}

// readOnce reads the store, unless that was done within unknownKeyGap. It returns
// the error of the latest read. If there are several calls at the same time, only
// the first reads, and the others wait for it.
func (r *Ring) readOnce(ctx context.Context) error {
	if last := r.lastWithin(unknownKeyGap); last != nil {
		return last.err
	}
	wait, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if err := r.acquire(wait); err != nil {
		return err
	}
	defer r.release()
	if last := r.lastWithin(unknownKeyGap); last != nil {
		return last.err
	}
	return r.readForRequest(ctx)
}

// lastWithin returns the latest attempt to read the store if it was less than
// maxAge ago, and otherwise nil. If the clock was set back, the age is unknown and
// it returns nil.
func (r *Ring) lastWithin(maxAge time.Duration) *reading {
	last := r.lastRead.Load()
	if age := r.cfg.Now().Sub(last.at); age < 0 || age >= maxAge {
		return nil
	}
	return last
}

// acquire takes the lock. The caller must call release.
func (r *Ring) acquire(ctx context.Context) error {
	select {
	case r.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the signing keys: %w", ctx.Err())
	}
}

func (r *Ring) release() { <-r.lock }

// readForRequest reads the store for a request. It goes on if that request ends,
// since other requests wait for the result.
func (r *Ring) readForRequest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	_, err := r.read(ctx)
	return err
}

// read reads the keys from the store into the ring, and returns them ordered by the
// time at which they begin to sign. The caller must hold the lock.
func (r *Ring) read(ctx context.Context) (stored store.Ring, err error) {
	// Stored last, so that a call that sees the reading also sees the keys.
	defer func() { r.lastRead.Store(&reading{r.cfg.Now(), err}) }()
	if stored, err = r.cfg.Store.Ring(ctx); err != nil {
		return stored, fmt.Errorf("read the signing keys: %w", err)
	}
	slices.SortFunc(stored.Keys, func(a, b store.SigningKey) int {
		return cmp.Or(a.NotBefore.Compare(b.NotBefore), cmp.Compare(a.ID, b.ID))
	})
	return stored, r.open(stored.Keys)
}

// open decrypts the records and puts their keys into the ring. On an error, or if
// there are no records, the ring does not change.
func (r *Ring) open(records []store.SigningKey) error {
	records = slices.DeleteFunc(slices.Clone(records), r.sealer.isWithdrawn)
	if len(records) == 0 {
		return nil
	}
	keys := make([]key, len(records))
	for i, record := range records {
		signer, err := r.signerOf(&record)
		if err != nil {
			return fmt.Errorf("open the signing keys: %w", err)
		}
		keys[i] = key{record, signer}
	}
	return r.publish(keys)
}

// publish makes the ring sign, verify and publish with keys.
func (r *Ring) publish(keys []key) error {
	set := &keySet{keys: keys, verify: make(map[string]bearer.PublicKey, len(keys))}
	public := make([]jose.PublicKey, len(keys))
	for i, k := range keys {
		p := k.signer.Public()
		public[i], set.verify[p.ID] = p, bearer.PublicKey{ID: p.ID, Algorithm: string(p.Algorithm), Key: p.Key}
	}
	var err error
	if set.jwks, err = jose.MarshalKeySet(public); err != nil {
		return fmt.Errorf("publish signing keys: %w", err)
	}
	r.current.Store(set)
	return nil
}
