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
	address, addressAndKey := budgetIDs(addr, keyID)
	retryAfter = max(b.wait(ctx, address, b.address, 0, now), b.wait(ctx, addressAndKey, b.key, 0, now))
	return retryAfter, retryAfter > 0
}

// fail counts one failure, and reports whether it exceeds a budget and how
// long to wait. What exceeds the address's budget is not counted; what exceeds
// the key id's counts for the address all the same.
func (b *budget) fail(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (retryAfter time.Duration, over bool) {
	address, addressAndKey := budgetIDs(addr, keyID)
	// The address first: one that is over its budget must not fill the table
	// with ids it makes up.
	wait := b.wait(ctx, address, b.address, b.address, now)
	if wait == 0 {
		wait = b.wait(ctx, addressAndKey, b.key, b.key, now)
	}
	return wait, wait > 0
}

// wait returns how long to wait until one more failure, of that cost, does not exceed
// the budget. It spends so much first, if that does not exceed it either. It runs on
// although the request may have ended: hanging up early must not make a failure free.
func (b *budget) wait(ctx context.Context, id string, cost, spend time.Duration, now time.Time) time.Duration {
	if cost == 0 {
		return 0
	}
	ahead, moved, err := b.limiter.Advance(context.WithoutCancel(ctx), id, now, spend, budgetWindow)
	switch {
	case err != nil:
		return cost // who cannot count cannot allow
	case spend == 0:
		return max(0, ahead+cost-budgetWindow)
	case moved:
		return 0
	}
	return max(1, ahead+cost-budgetWindow)
}

// budgetIDs names the two counters of a failure. Who has one IPv6 address of a /64 has
// all of them. Variants of a key id that people and databases take for the same share
// one counter.
func budgetIDs(addr netip.Addr, keyID string) (address, addressAndKey string) {
	addr = addr.Unmap()
	address = "?"
	if addr.Is4() {
		address = addr.String()
	} else if network, err := addr.Prefix(64); err == nil {
		address = network.String()
	}
	keyID = strings.TrimSpace(keyID)
	sum := sha256.Sum256([]byte(strings.ToLower(keyID[:min(len(keyID), idBytes)])))
	return address, address + " " + string(sum[:16])
}
