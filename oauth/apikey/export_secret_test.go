package apikey

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// What the tests of secrets, digests and budgets reach inside for.

var (
	NewSecret      = newSecret
	SecretOf       = secretOf
	SecretID       = secretID
	RandomID       = randomID
	NewKeyID       = newKeyID
	CheckImported  = checkImported
	CheckPrefix    = checkPrefix
	IsSlow         = isSlow
	HashWeak       = hashWeak
	EntropyBits    = entropyBits
	ErrPepper      = errPepper
	ErrDigest      = errDigest
	StrongBits     = float64(strongBits)
	MaxSecretInput = maxPrefix + randomChars + checksumChars
)

type ImportError = importError

type Hasher struct{ h *hasher }

type Binding struct{ KeyID, Workspace, SecretID, Secret string }

func (b Binding) inside() binding { return binding{b.KeyID, b.Workspace, b.SecretID, b.Secret} }

func NewHasher(peppers ...Pepper) (Hasher, error) {
	h, err := newHasher(peppers, nil)
	return Hasher{h}, err
}

// Without is a hasher that refuses the digests of an entry that was withdrawn.
func (h Hasher) Without(title string) Hasher {
	return Hasher{&hasher{h.h.current, h.h.digesters, []string{title}}}
}

func (h Hasher) Digest(b Binding) string { return h.h.digest(b.inside()) }

func (h Hasher) Verify(stored string, b Binding) (ok, outdated bool, err error) {
	return h.h.verify(stored, b.inside())
}

func (h Hasher) Dummy(b Binding) { h.h.dummy(b.inside()) }

type SlowGate struct{ g *slowGate }

func NewSlowGate() SlowGate { return SlowGate{newSlowGate()} }

func (s SlowGate) Enter(ctx context.Context, key string) error { return s.g.enter(ctx, key) }

func (s SlowGate) Leave(key string) { s.g.leave(key) }

func (s SlowGate) Verify(ctx context.Context, key, stored, secret string) (bool, error) {
	return s.g.verify(ctx, key, stored, secret)
}

func (s SlowGate) Hash(ctx context.Context, random io.Reader, secret string) (string, error) {
	return s.g.hash(ctx, random, secret)
}

// Idle reports whether no key runs or waits.
func (s SlowGate) Idle() bool { return len(s.g.shares) == 0 && len(s.g.running) == 0 }

// Matches counts what is remembered.
func (s SlowGate) Matches() int { return len(s.g.matches) }

// Remember remembers that a digest and a secret matched.
func (s SlowGate) Remember(stored, secret string) { s.g.remember(s.g.sum(stored, secret)) }

type Budget struct{ b *budget }

func NewBudget(b Budgets) Budget { return Budget{newBudget(b)} }

func NewBudgetOn(l store.Limiter, b Budgets) Budget { return Budget{newBudgetOn(l, b)} }

func (b Budget) Over(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (time.Duration, bool) {
	return b.b.over(ctx, addr, keyID, now)
}

func (b Budget) Fail(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (time.Duration, bool) {
	return b.b.fail(ctx, addr, keyID, now)
}

// MustSecret is newSecret for tests that are about something else.
func MustSecret(random io.Reader, prefix string) Secret {
	s, err := newSecret(random, prefix)
	if err != nil {
		panic(err)
	}
	return s
}
