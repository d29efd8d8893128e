package apikey

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// Budgets bound failed logins, a minute, in this process. A budget is spent by
// failures only and refills evenly; no failure of one address keeps another
// from logging in, nor a right secret. Only a secret with a slow digest, which a
// person may have chosen, is not compared beyond a budget. That one is of the
// same size, and guesses at such secrets alone spend it. The zero value sets
// the defaults.
type Budgets struct {
	// PerAddress is how many failures one address has a minute; an IPv6
	// address counts as its /64, and all unknown addresses as one. 0 is 120,
	// negative is no bound, above 60,000 counts as 60,000.
	PerAddress int
	// PerAddressAndKey is how many failures one address has a minute for one
	// key id, whether that exists or not. 0 is 60, negative is no bound,
	// above 60,000 counts as 60,000.
	PerAddressAndKey int
	// Entries bounds the addresses and key ids remembered at once. 0 is
	// 65,536; below 1,024 counts as 1,024.
	Entries int
}

const (
	budgetWindow  = time.Minute
	maxBudget     = 60_000
	budgetEntries = 65_536
	// idBytes is how much of a key id tells it from others here. An id in a
	// failed login is whatever somebody sent.
	idBytes = 64
)

// budget counts failed logins. Safe for concurrent use.
type budget struct {
	limiter store.Limiter
	address time.Duration // what one failure costs; 0: no bound
	key     time.Duration
}

func newBudget(b Budgets) *budget {
	entries := b.Entries
	if entries == 0 {
		entries = budgetEntries
	}
	return newBudgetOn(memstore.NewLimiter(entries), b)
}

func newBudgetOn(l store.Limiter, b Budgets) *budget {
	return &budget{limiter: l, address: failureCost(b.PerAddress, 120), key: failureCost(b.PerAddressAndKey, 60)}
}

func failureCost(limit, otherwise int) time.Duration {
	switch {
	case limit < 0:
		return 0
	case limit == 0:
		limit = otherwise
	}
	return budgetWindow / time.Duration(min(limit, maxBudget))
}

// over reports, without counting, whether one more failure would exceed a
// budget, and how long to wait until it would not.
func (b *budget) over(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (retryAfter time.Duration, over bool) {
	ids := budgetIDs(addr, keyID)
	byAddress := b.wait(ctx, ids.address, b.address, now)
	byKey := b.wait(ctx, ids.addressAndKey, b.key, now)
	retryAfter = max(byAddress, byKey)
	return retryAfter, retryAfter > 0
}

// fail counts one failure, and reports whether it exceeds a budget and how
// long to wait. What exceeds the address's budget is not counted; what exceeds
// the key id's counts for the address all the same.
func (b *budget) fail(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (retryAfter time.Duration, over bool) {
	ids := budgetIDs(addr, keyID)
	// The address first: one that is over its budget must not fill the table
	// with ids it makes up.
	if wait := b.spend(ctx, ids.address, b.address, now); wait > 0 {
		return wait, true
	}
	wait := b.spend(ctx, ids.addressAndKey, b.key, now)
	return wait, wait > 0
}

func (b *budget) wait(ctx context.Context, id string, cost time.Duration, now time.Time) time.Duration {
	if cost == 0 {
		return 0
	}
	ahead, _, err := b.limiter.Advance(context.WithoutCancel(ctx), id, now, 0, budgetWindow)
	if err != nil {
		return cost // who cannot count cannot allow
	}
	return max(0, ahead+cost-budgetWindow)
}

// spend runs on although the request may have ended: hanging up early must not
// make a failure free.
func (b *budget) spend(ctx context.Context, id string, cost time.Duration, now time.Time) time.Duration {
	if cost == 0 {
		return 0
	}
	ahead, moved, err := b.limiter.Advance(context.WithoutCancel(ctx), id, now, cost, budgetWindow)
	switch {
	case err != nil:
		return cost
	case moved:
		return 0
	}
	return max(1, ahead+cost-budgetWindow)
}

type idPair struct{ address, addressAndKey string }

// budgetIDs names the two counters of a failure; the first is the beginning
// of the second, so that one string serves both.
func budgetIDs(addr netip.Addr, keyID string) idPair {
	var array [1 + 8 + 16]byte
	id := array[:0]
	switch addr = addr.Unmap(); {
	case addr.Is4():
		raw := addr.As4()
		id = append(append(id, '4'), raw[:]...)
	case addr.Is6():
		raw := addr.As16() // who has one address of a /64 has all of them
		id = append(append(id, '6'), raw[:8]...)
	default:
		id = append(id, '?')
	}
	n := len(id)
	// Variants of an id that people and databases take for the same share
	// one counter.
	keyID = strings.TrimSpace(keyID)
	var letters [idBytes]byte
	kept := letters[:0]
	for i := range min(len(keyID), idBytes) {
		c := keyID[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		kept = append(kept, c)
	}
	sum := sha256.Sum256(kept)
	all := string(append(id, sum[:16]...))
	return idPair{address: all[:n], addressAndKey: all}
}
