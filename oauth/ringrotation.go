package oauth

import (
	"bytes"
	"cmp"
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

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// The schedule of a managed ring. A key is published before its first use for
// longer than any cache keeps the old set, and after its last use for as long
// as a verifier can take one of its tokens, and by a replica whose clock lags
// or which had not read of its successor.
const (
	ringLead = 2 * jwksMaxAge
	ringTail = apikey.MaxTokenLifetime + bearer.MaxLeeway + time.Hour
	// ringTries bounds how often a step begins anew because another replica
	// was quicker.
	ringTries = 10
	// rsaBits is the size that all consumers take; a ring's keys live for
	// weeks.
	rsaBits = 2048
)

// start does the first step of a managed ring. What the store holds must be
// read and opened; what is due can wait for Run.
func (r *ring) start(ctx context.Context) error {
	if r.keys == nil {
		return nil
	}
	err := r.step(ctx, r.clock())
	if err != nil && r.now.Load() != nil {
		r.log.WarnContext(ctx, "the signing keys were read, but what is due for them was not done; Run will try again", "error", err)
		return nil
	}
	return err
}

// step reads the ring, and makes, retires and seals anew what is due. All
// replicas do so; the first to write wins, and the others find it done. If it
// fails, the ring stays as it was.
func (r *ring) step(ctx context.Context, now time.Time) error {
	if r.keys == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("oauth: wait for the signing keys: %w", ctx.Err())
	}
	defer func() { <-r.turn }()
	now = now.UTC().Truncate(time.Microsecond) // as stores keep it
	for range ringTries {
		stored, keys, err := r.read(ctx)
		if err != nil {
			return err
		}
		trusted, err := r.trusts(ctx, keys, now)
		if err != nil {
			return err
		}
		next, made, err := r.due(keys, now, trusted)
		if err != nil || next == nil {
			return err
		}
		if len(keys) > 0 {
			// By a wrong clock nothing may be due. A first key is needed anyway.
			if agrees, err := r.agrees(ctx); err != nil || !agrees {
				return err
			}
		}
		records := make([]store.SigningKey, len(next))
		for i, key := range next {
			records[i] = key.SigningKey
		}
		err = r.keys.SetRing(ctx, store.Ring{Keys: records, Version: stored.Version})
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("oauth: save the signing keys: %w", err)
		}
		if made != nil && r.shared {
			r.log.InfoContext(ctx, "a signing key was made", "kid", made.ID, "algorithm", made.Algorithm, "from", made.NotBefore)
		}
		return r.publish(next, signersOf(next))
	}
	return fmt.Errorf("oauth: save the signing keys: other replicas changed them %d times meanwhile: %w", ringTries, store.ErrConflict)
}

// near returns how many of the keys have come to use, or will within one period.
// One whose time lies further ahead was made by a clock that was wrong, or this
// one lags.
func (r *ring) near(keys []ringKey, now time.Time) int {
	latest := now.Add(ringLead + r.every)
	for i, key := range keys {
		if key.NotBefore.After(latest) {
			return i
		}
	}
	return len(keys)
}

// trusts reports whether to go by this clock where all keys lie far ahead of it:
// if nobody else changes the ring, or the store has a clock, to which r.agrees
// compares it.
func (r *ring) trusts(ctx context.Context, keys []ringKey, now time.Time) (bool, error) {
	if !r.shared || len(keys) == 0 || r.near(keys, now) > 0 {
		return true, nil
	}
	theirs, err := r.storeClock(ctx)
	if err != nil {
		return false, fmt.Errorf("oauth: read the store's clock: %w", err)
	}
	return !theirs.IsZero(), nil
}

// due returns the keys as they should be at the time, and the one it made, if
// any; nil if nothing is due. Keys that lie far ahead hold nothing up.
func (r *ring) due(keys []ringKey, now time.Time, trusted bool) (next []ringKey, made *ringKey, err error) {
	// The newest key stays, whatever its record says.
	newest := len(keys) - 1
	changed := false
	for i, key := range keys {
		if i < newest && !key.Retire.IsZero() && !now.Before(key.Retire) {
			changed = true
			continue
		}
		next = append(next, key)
	}
	near := r.near(next, now)
	from := now
	if len(next) > 0 {
		from = now.Add(ringLead)
	}
	if near == 0 && (len(next) == 0 || trusted) || near > 0 && !from.Before(next[near-1].NotBefore.Add(r.every)) {
		if made, err = r.make(now, from); err != nil {
			return nil, nil, err
		}
		next, changed = slices.Insert(next, near, *made), true
		near++
	}
	for i := range near - 1 {
		key, successor := &next[i], next[i+1].NotBefore
		if key.Retire.IsZero() || key.NotAfter.After(successor) {
			key.NotAfter, key.Retire, changed = successor, successor.Add(ringTail), true
		}
	}
	for i := range next {
		if key := &next[i]; key.SealKey != r.seal.newest {
			private, err := r.seal.open(&key.SigningKey)
			if err != nil {
				return nil, nil, fmt.Errorf("oauth: seal the signing keys anew: %w", err)
			}
			r.seal.seal(&key.SigningKey, private)
			changed = true
		}
	}
	if !changed {
		return nil, nil, nil
	}
	return next, made, nil
}

// make makes a key that signs from the given time.
func (r *ring) make(now, from time.Time) (*ringKey, error) {
	private, err := generate(r.algorithm)
	if err != nil {
		return nil, fmt.Errorf("oauth: make a signing key: %w", err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("oauth: make a signing key: %w", err)
	}
	signer, err := jose.NewSigner(r.algorithm, "", private)
	if err != nil {
		return nil, fmt.Errorf("oauth: make a signing key: %w", err)
	}
	key := &ringKey{signer: signer, SigningKey: store.SigningKey{
		ID: signer.Public().ID, Algorithm: string(r.algorithm), Created: now, NotBefore: from,
	}}
	r.seal.seal(&key.SigningKey, text)
	return key, nil
}

func generate(algorithm jose.Algorithm) (crypto.Signer, error) {
	switch algorithm {
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case jose.RS256, jose.PS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("no key for the algorithm %q can be made", string(algorithm))
}

// open unseals the records, in the order in which they come to use. A key that
// is at hand from the very same record is not opened again.
func (r *ring) open(records []store.SigningKey) ([]ringKey, error) {
	var known []ringKey
	if ring := r.now.Load(); ring != nil {
		known = ring.keys
	}
	keys := make([]ringKey, len(records))
	for i, record := range records {
		keys[i].SigningKey = record
		same := slices.IndexFunc(known, func(k ringKey) bool {
			return k.ID == record.ID && k.Algorithm == record.Algorithm && k.SealKey == record.SealKey && bytes.Equal(k.Sealed, record.Sealed)
		})
		if same >= 0 {
			keys[i].signer = known[same].signer
			continue
		}
		var err error
		if keys[i].signer, err = r.openOne(&record); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(keys, func(a, b ringKey) int {
		return cmp.Or(a.NotBefore.Compare(b.NotBefore), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

func (r *ring) openOne(record *store.SigningKey) (*jose.Signer, error) {
	text, err := r.seal.open(record)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("the signing key %.64q holds no private key", record.ID)
	}
	signer, err := jose.NewSigner(jose.Algorithm(record.Algorithm), record.ID, private)
	if err != nil {
		return nil, fmt.Errorf("the signing key %.64q: %w", record.ID, err)
	}
	return signer, nil
}

// processKeys keeps the ring of one server, which lives and dies with it. The
// ring's turn keeps callers apart.
type processKeys struct{ ring store.Ring }

// Durable implements store.SigningKeys.
func (p *processKeys) Durable() bool { return false }

// Ring implements store.SigningKeys.
func (p *processKeys) Ring(context.Context) (store.Ring, error) {
	return store.Ring{Keys: slices.Clone(p.ring.Keys), Version: p.ring.Version}, nil
}

// SetRing implements store.SigningKeys.
func (p *processKeys) SetRing(_ context.Context, r store.Ring) error {
	p.ring = store.Ring{Keys: slices.Clone(r.Keys), Version: r.Version + 1}
	return nil
}
