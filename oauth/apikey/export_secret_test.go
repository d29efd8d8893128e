package apikey

import (
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// Internals for the tests of budgets and of the gate.

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
func (s SlowGate) Idle() bool { return len(s.g.states) == 0 && len(s.g.running) == 0 }

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

// MustSecret is secrets.New for tests that are about something else.
func MustSecret(random io.Reader, prefix string) Secret {
	s, err := secrets.New(random, prefix)
	if err != nil {
		panic(err)
	}
	return s
}
