package oauth

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// keyring is what signs, what verifies and what is published. It never
// changes.
type keyring struct {
	keys   []ringKey // in the order in which they come to use
	all    []*jose.Signer
	public map[string]bearer.Key
	jwks   document
}

// ringKey is a key of the ring; one that the host gave has no record.
type ringKey struct {
	store.SigningKey
	signer *jose.Signer
}

// ring hands out the current keyring. Given keys never change. A managed ring
// is what the store holds: step changes the record when something is due, and
// all who read it go by the times on it.
type ring struct {
	now atomic.Pointer[keyring]
	// used is when the newest key that signed here came to use, in Unix
	// microseconds: a clock that is set back takes no key out of use again.
	used atomic.Int64
	// last is the latest attempt to read the store, turn who reads it now.
	last atomic.Pointer[attempt]
	turn chan struct{}

	keys      store.SigningKeys // nil: given keys
	shared    bool              // others change it too
	seal      *sealer
	every     time.Duration
	algorithm jose.Algorithm
	clock     func() time.Time
	// agrees reports whether the clock is right enough to rotate by.
	agrees func(context.Context) (bool, error)
	// storeClock is that of the store, zero if it has none.
	storeClock func(context.Context) (time.Time, error)
	log        *slog.Logger
}

type attempt struct {
	at  time.Time
	err error
}

const (
	// ringTimeout bounds a step, with reading and writing.
	ringTimeout = 10 * time.Second
	// ringWait bounds how long a request waits for the ring to be read.
	ringWait = 500 * time.Millisecond
	// ringGap lies between two readings because of unknown kids.
	ringGap = 5 * time.Second
	// ringStale is the age at which a request has the ring read. Run is
	// quicker; without Run this, together with the time that caches keep the
	// published set, is less than ringLead.
	ringStale = 2 * stepEvery
)

// newRing publishes the keys that the host gave; the first signs.
func newRing(signers []*jose.Signer) (*ring, error) {
	r := &ring{}
	return r, r.publish([]ringKey{{signer: signers[0]}}, signers)
}

// publish makes keys the ones that sign, and all those that verify.
func (r *ring) publish(keys []ringKey, all []*jose.Signer) error {
	if last := r.now.Load(); last != nil && slices.Equal(last.all, all) {
		r.now.Store(&keyring{keys, all, last.public, last.jwks})
		return nil
	}
	ring := &keyring{keys: keys, all: all, public: make(map[string]bearer.Key, len(all))}
	public := make([]jose.PublicKey, len(all))
	for i, s := range all {
		public[i] = s.Public()
		if _, twice := ring.public[public[i].ID]; twice {
			return fmt.Errorf("oauth: two signing keys share the kid %q", public[i].ID)
		}
		ring.public[public[i].ID] = bearer.Key{ID: public[i].ID, Algorithm: string(public[i].Algorithm), Public: public[i].Key}
	}
	jwks, err := jose.MarshalKeySet(public)
	if err != nil {
		return fmt.Errorf("oauth: publish signing keys: %w", err)
	}
	ring.jwks = newDocument(jwks)
	r.now.Store(ring)
	return nil
}

// current returns the keyring, read anew if nothing did so for long: a host
// whose replica has no Run publishes and signs with what the others have.
func (r *ring) current(ctx context.Context) *keyring {
	if r.shared && !r.tried(ringStale) {
		r.refresh(ctx)
	}
	return r.now.Load()
}

// signer returns the newest key whose time has come, so that replicas agree.
// If none has, for a clock that lags, it is the oldest.
func (r *ring) signer(ctx context.Context) *jose.Signer {
	keys := r.current(ctx).keys
	if len(keys) == 1 {
		return keys[0].signer
	}
	used, now := r.used.Load(), r.clock().UnixMicro()
	if used-now > (ringLead + r.every).Microseconds() {
		// The clock was far ahead for a while.
		r.used.CompareAndSwap(used, 0)
		used = 0
	}
	now = max(now, used)
	i := len(keys) - 1
	for i > 0 && keys[i].NotBefore.UnixMicro() > now {
		i--
	}
	if from := keys[i].NotBefore.UnixMicro(); from > used {
		r.used.CompareAndSwap(used, from)
	}
	return keys[i].signer
}

// Key implements bearer.KeySet. A kid that is not known may be one that
// another replica made: the ring is read again, but not at every request.
func (r *ring) Key(ctx context.Context, kid string) (bearer.Key, error) {
	if key, ok := r.now.Load().public[kid]; ok {
		return key, nil
	}
	if !r.shared {
		return bearer.Key{}, bearer.ErrUnknownKey
	}
	if !r.tried(ringGap) {
		if err := r.reread(ctx); err != nil {
			return bearer.Key{}, err
		}
	}
	// In this order: an attempt is noted after what it read is published.
	last := r.last.Load()
	if key, ok := r.now.Load().public[kid]; ok {
		return key, nil
	}
	if last.err != nil {
		return bearer.Key{}, fmt.Errorf("oauth: the key may be one that was not read yet: %w", last.err)
	}
	return bearer.Key{}, bearer.ErrUnknownKey
}

// reread reads the ring, unless someone else did so while it was waiting.
func (r *ring) reread(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, ringWait)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
	case <-wait.Done():
		return fmt.Errorf("oauth: wait for the signing keys: %w", wait.Err())
	}
	defer func() { <-r.turn }()
	if !r.tried(ringGap) {
		_ = r.readFor(ctx) //nolint:errcheck // noted as the last attempt
	}
	return nil
}

// refresh reads the ring; whoever finds that another does so goes on with what
// there is.
func (r *ring) refresh(ctx context.Context) {
	select {
	case r.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-r.turn }()
	if err := r.readFor(ctx); err != nil {
		r.log.WarnContext(ctx, "the signing keys could not be read again; those at hand are used", "error", err)
	}
}

// readFor reads the ring on behalf of a request. A caller who goes away does
// not spoil it for the others.
func (r *ring) readFor(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ringWait)
	defer cancel()
	_, _, err := r.read(ctx)
	return err
}

// read opens and publishes what the store holds, and notes the attempt. Only
// who has the turn may call it. What cannot be read or opened leaves the ring
// as it was.
func (r *ring) read(ctx context.Context) (store.Ring, []ringKey, error) {
	stored, keys, err := r.load(ctx)
	r.last.Store(&attempt{r.clock(), err})
	return stored, keys, err
}

func (r *ring) load(ctx context.Context) (store.Ring, []ringKey, error) {
	stored, err := r.keys.Ring(ctx)
	if err != nil {
		return stored, nil, fmt.Errorf("oauth: read the signing keys: %w", err)
	}
	keys, err := r.open(stored.Keys)
	if err != nil {
		return stored, nil, fmt.Errorf("oauth: open the signing keys: %w", err)
	}
	if len(keys) == 0 {
		return stored, nil, nil
	}
	return stored, keys, r.publish(keys, signersOf(keys))
}

// tried reports whether the ring was read, or was tried to, less than d ago.
// After a clock that jumped back nobody knows.
func (r *ring) tried(d time.Duration) bool {
	last := r.last.Load()
	if last == nil {
		return false
	}
	age := r.clock().Sub(last.at)
	return age >= 0 && age < d
}

func signersOf(keys []ringKey) []*jose.Signer {
	signers := make([]*jose.Signer, len(keys))
	for i, key := range keys {
		signers[i] = key.signer
	}
	return signers
}
