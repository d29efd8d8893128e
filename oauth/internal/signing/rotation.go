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
	// replicas that still sign with it because their clock is slow or they have not
	// read the next key.
	tail = hostlist.LongestToken + bearer.MaxLeeway + time.Hour

	// stepTimeout bounds a step, with its reads and writes.
	stepTimeout = 10 * time.Second
	// maxTries bounds how often a step is tried because another replica wrote
	// first.
	maxTries = 10
	// rsaBits is the key size that every verifier accepts.
	rsaBits = 2048
)

// Start makes the first step. It fails if the keys cannot be read or opened, or if
// the first key cannot be saved. If another change fails, it logs that and leaves
// it to the next Step.
func (r *Ring) Start(ctx context.Context) error {
	err := r.Step(ctx)
	if err != nil && len(r.current.Load().keys) > 0 {
		r.cfg.Logger.WarnContext(ctx, "the signing keys were read, but could not be rotated or sealed again; Run will try again", "error", err)
		return nil
	}
	return err
}

// Step reads the store and makes the changes that are due: it makes the next key,
// removes old keys, and seals keys again if a seal key with a lower version than
// the first one sealed them. It never seals to a lower version, so that replicas
// with different orders of the list do not seal each other's keys again. All
// replicas call Step. The first to write wins, and the others then read what it
// wrote. On an error the ring does not change. If the keys are the host's, Step
// does nothing.
func (r *Ring) Step(ctx context.Context) error {
	if len(r.cfg.Signers) > 0 {
		return nil
	}
	return r.change(ctx, whatIsDue)
}

// Rotate makes the next key before its time. The key signs after it has been
// published for 10 minutes or, with now, at once. Without now, Rotate does nothing
// if the next key is already published.
func (r *Ring) Rotate(ctx context.Context, now bool) error {
	if now {
		return r.change(ctx, nextKeyNow)
	}
	return r.change(ctx, nextKey)
}

// Revoke replaces all keys by one new key, which signs at once.
func (r *Ring) Revoke(ctx context.Context) error { return r.change(ctx, onlyNewKey) }

// want is what change must do besides the changes that are due.
type want int

const (
	whatIsDue want = iota
	nextKey
	nextKeyNow
	onlyNewKey
)

var errHostKeys = errors.New("the signing keys are the host's: to replace one, change Config.Signers")

// change reads the ring, plans the changes and writes them. It tries again if
// another replica wrote meanwhile.
func (r *Ring) change(ctx context.Context, w want) error {
	if len(r.cfg.Signers) > 0 {
		return errHostKeys
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := r.acquire(ctx); err != nil {
		return err
	}
	defer r.release()
	now := r.cfg.Now().UTC().Truncate(time.Microsecond) // the precision of stores
	for range maxTries {
		stored, err := r.read(ctx)
		if err != nil {
			return err
		}
		next, made, err := r.plan(ctx, stored.Keys, now, w)
		if err != nil || next == nil {
			return err
		}
		// The first key is made even if the clock is wrong.
		if len(stored.Keys) > 0 && len(r.current.Load().keys) > 0 {
			agrees, err := r.cfg.CheckClock(ctx)
			if err == nil && !agrees && w != whatIsDue {
				err = errors.New("the clock of this process differs from the store's: correct it, or call another replica")
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
	return fmt.Errorf("save the signing keys: other replicas changed them %d times at the same time; try again: %w", maxTries, store.ErrConflict)
}

// plan returns the keys as they should be now, and the key that it made, if any. If
// nothing needs to change, it returns no keys.
func (r *Ring) plan(ctx context.Context, keys []store.SigningKey, now time.Time, w want) (next []store.SigningKey, made *store.SigningKey, err error) {
	var kept []store.SigningKey
	if w != onlyNewKey {
		kept = slices.DeleteFunc(slices.Clone(keys), r.sealer.isWithdrawn)
	}
	for i, k := range kept {
		newest := i == len(kept)-1 // it is kept, whatever its record says
		if newest || k.PublishUntil.IsZero() || now.Before(k.PublishUntil) {
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
		if k.PublishUntil.IsZero() || k.NotAfter.After(successor) {
			err := r.sealer.reseal(k, func(k *store.SigningKey) { k.NotAfter, k.PublishUntil = successor, successor.Add(tail) })
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

// credible returns how many of the keys do not begin far in the future. The others
// are the last ones, and the next key is inserted before them. If all keys begin
// far in the future, the clock of this process may be the wrong one. Then all count
// as credible, with two exceptions: the store has a clock, with which change compares
// the clock of this process, or no other process makes keys.
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

// newKey makes a key that begins to sign at begin.
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
