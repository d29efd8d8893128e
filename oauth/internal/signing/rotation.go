package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// lead is how long a key is published before it signs.
	lead = 2 * MaxAge
	// tail is how long a key is published after it has signed. The hour is for
	// replicas that still sign with it, since their clock is late or they have not
	// read of its successor.
	tail = hostlist.LongestToken + bearer.MaxLeeway + time.Hour

	// stepTimeout bounds a step, with reading and writing.
	stepTimeout = 10 * time.Second
	// maxTries bounds how often a step begins anew because another replica wrote
	// first.
	maxTries = 10
	// rsaBits is the size that every verifier takes.
	rsaBits = 2048
)

// Start does the first step. It fails if the keys cannot be read or opened, or if the
// first one cannot be saved; any other change can wait for the next Step.
func (r *Ring) Start(ctx context.Context) error {
	err := r.Step(ctx)
	if err != nil && len(r.current.Load().keys) > 0 {
		r.cfg.Logger.WarnContext(ctx, "the signing keys were read, but what is due for them was not done; Run will try again", "error", err)
		return nil
	}
	return err
}

// Step reads the store and does what is due: it makes the next key, removes old
// ones, and seals anew what a seal key with a lower version than the first one
// sealed. Only towards a higher version: replicas whose lists have another order
// must not seal each other's anew. All replicas do so. The first to write wins, and
// the others then read what it wrote. On an error the ring stays as it was. On a
// ring of the host's keys Step does nothing.
func (r *Ring) Step(ctx context.Context) error {
	if len(r.cfg.Signers) > 0 {
		return nil
	}
	return r.change(ctx, whatIsDue)
}

// Rotate makes the next key before its time. It signs as soon as it has been
// published for long enough or, with now, at once. Without now, a next key that is
// published already will do.
func (r *Ring) Rotate(ctx context.Context, now bool) error {
	if now {
		return r.change(ctx, nextKeyNow)
	}
	return r.change(ctx, nextKey)
}

// Revoke puts one new key, which signs at once, in the place of all others.
func (r *Ring) Revoke(ctx context.Context) error { return r.change(ctx, onlyNewKey) }

// want is what change is asked to do besides what is due.
type want int

const (
	whatIsDue want = iota
	nextKey
	nextKeyNow
	onlyNewKey
)

var errGiven = errors.New("the signing keys are the host's: to replace one, change Config.Signers")

// change reads the ring, plans and writes, until no other replica has written
// meanwhile.
func (r *Ring) change(ctx context.Context, w want) error {
	if len(r.cfg.Signers) > 0 {
		return errGiven
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	now := r.cfg.Now().UTC().Truncate(time.Microsecond) // as stores keep it
	for range maxTries {
		stored, err := r.read(ctx)
		if err != nil {
			return err
		}
		next, made, err := r.plan(ctx, stored.Keys, now, w)
		if err != nil || next == nil {
			return err
		}
		// A first key is needed whatever the clock says.
		if len(stored.Keys) > 0 && len(r.current.Load().keys) > 0 {
			agrees, err := r.cfg.ClockAgrees(ctx)
			if err == nil && !agrees && w != whatIsDue {
				err = errors.New("the clock of this process differs from the store's: set it right, or call another replica")
			}
			if err != nil || !agrees {
				return err
			}
		}
		err = r.cfg.Store.SetRing(ctx, store.Ring{Keys: next, Version: stored.Version})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("save the signing keys: %w", err)
		}
		if made != nil && r.shared {
			r.cfg.Logger.InfoContext(ctx, "a signing key was made", "kid", made.ID, "algorithm", made.Algorithm, "from", made.NotBefore, "keys", len(next))
		}
		return r.open(next)
	}
	return fmt.Errorf("save the signing keys: other replicas changed them %d times meanwhile: %w", maxTries, store.ErrConflict)
}

// plan returns the keys as they should be now, and the key among them that it made, if
// it made one. Without anything to do it returns no keys.
func (r *Ring) plan(ctx context.Context, keys []store.SigningKey, now time.Time, w want) (next []store.SigningKey, made *store.SigningKey, err error) {
	var stay []store.SigningKey
	if w != onlyNewKey {
		stay = slices.DeleteFunc(slices.Clone(keys), r.sealer.lost)
	}
	for i, k := range stay {
		newest := i == len(stay)-1 // it stays, whatever its record says
		if newest || k.Retire.IsZero() || now.Before(k.Retire) {
			next = append(next, k)
		}
	}
	changed := len(next) < len(keys)
	n, err := r.credible(ctx, next, now)
	if err != nil {
		return nil, nil, err
	}
	begin := now
	if len(next) > 0 && w != nextKeyNow {
		begin = now.Add(lead)
	}
	if n == 0 || w == nextKeyNow || w == nextKey && !next[n-1].NotBefore.After(now) || !begin.Before(next[n-1].NotBefore.Add(r.cfg.RotateEvery)) {
		if made, err = r.newKey(now, begin); err != nil {
			return nil, nil, fmt.Errorf("make a signing key: %w", err)
		}
		at := n
		for at > 0 && next[at-1].NotBefore.After(begin) {
			at--
		}
		next, changed = slices.Insert(next, at, *made), true
		n++
	}
	for i := range n - 1 {
		k, successor := &next[i], next[i+1].NotBefore
		if k.Retire.IsZero() || k.NotAfter.After(successor) {
			err := r.sealer.reseal(k, func(k *store.SigningKey) { k.NotAfter, k.Retire = successor, successor.Add(tail) })
			if err != nil {
				return nil, nil, err
			}
			changed = true
		}
	}
	for i := range next {
		if k := &next[i]; k.SealKey < r.sealer.first {
			if err := r.sealer.reseal(k, func(*store.SigningKey) {}); err != nil {
				return nil, nil, err
			}
			changed = true
		}
	}
	if !changed {
		return nil, nil, nil
	}
	return next, made, nil
}

// credible returns how many of the keys do not begin far ahead. The others are the last
// ones, and the next key goes before them. If all keys begin far ahead, perhaps it is
// this process whose clock is wrong. Then all count as credible, unless the store has a
// clock, with which change compares this one, or no other process makes keys.
func (r *Ring) credible(ctx context.Context, keys []store.SigningKey, now time.Time) (int, error) {
	n := slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.NotBefore.After(now.Add(r.farAhead())) })
	switch {
	case n < 0:
		return len(keys), nil
	case n > 0 || !r.shared:
		return n, nil
	}
	clock, err := r.cfg.StoreClock(ctx)
	switch {
	case err != nil:
		return 0, fmt.Errorf("read the store's clock: %w", err)
	case clock.IsZero():
		return len(keys), nil
	}
	return 0, nil
}

// newKey makes a key that signs from begin on.
func (r *Ring) newKey(now, begin time.Time) (*store.SigningKey, error) {
	private, err := generate(r.cfg.Algorithm)
	if err != nil {
		return nil, err
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(r.cfg.Algorithm, "", private)
	if err != nil {
		return nil, err
	}
	k := &store.SigningKey{ID: signer.Public().ID, Algorithm: string(r.cfg.Algorithm), Created: now, NotBefore: begin}
	r.sealer.seal(k, text)
	return k, nil
}

func generate(algorithm jose.Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return rsa.GenerateKey(rand.Reader, rsaBits) // jose.NewSigner refuses it for all but RS256 and PS256
}
