package apikey

import (
	"cmp"
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// Budgets bound the failed logins per minute in this process. Only failures spend a
// budget, and it refills evenly. Failures from one address do not keep another
// address from logging in, nor do they keep an assertion, or a correct secret that Latchkey
// generated, from logging in. A secret with a slow digest, which a person may have chosen, is not
// compared once its budget is spent. For guesses at such secrets there is a second pair
// of budgets of the same sizes, which nothing else spends. Service.RevokeSecret without
// an id has a third one. The zero value sets the defaults.
type Budgets struct {
	// PerAddress is how many failures a minute one address may have. An IPv6
	// address counts as its /64, and all unknown addresses count as one. 0 means
	// 120, negative no bound, more than 60,000 means 60,000.
	PerAddress int
	// PerAddressAndKey is how many failures a minute one address may have for one
	// key id, whether that key exists or not. Secrets in place of a token that come
	// without an id count as of one id. 0 means 60, negative no bound, more
	// than 60,000 means 60,000.
	PerAddressAndKey int
	// Entries bounds the addresses and key ids that are counted at once. 0 means
	// 65,536; less than 1,024 means 1,024.
	Entries int
}

const (
	budgetWindow  = time.Minute
	maxBudget     = 60_000
	budgetEntries = 65_536
	// idBytes is how many bytes of a key id are compared. The id of a failed login
	// is not trusted and may be long.
	idBytes = 64
)

// budget counts failed logins. Safe for concurrent use.
type budget struct {
	limiter store.Limiter
	// How much of the window one failure uses. 0: no bound.
	perAddress, perAddressAndKey time.Duration
}

func newBudget(b Budgets) *budget {
	return newBudgetOn(memstore.NewLimiter(cmp.Or(b.Entries, budgetEntries)), b)
}

func newBudgetOn(l store.Limiter, b Budgets) *budget {
	return &budget{limiter: l, perAddress: failureCost(b.PerAddress, 120), perAddressAndKey: failureCost(b.PerAddressAndKey, 60)}
}

func failureCost(limit, standard int) time.Duration {
	if limit < 0 {
		return 0
	}
	return budgetWindow / time.Duration(min(cmp.Or(limit, standard), maxBudget))
}

// over reports whether one more failure would exceed a budget, and how long to wait
// until it would not. It counts nothing.
func (b *budget) over(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (retryAfter time.Duration, over bool) {
	address, addressAndKey := budgetIDs(addr, keyID)
	retryAfter = max(b.spend(ctx, address, b.perAddress, 0, now), b.spend(ctx, addressAndKey, b.perAddressAndKey, 0, now))
	return retryAfter, retryAfter > 0
}

// fail counts one failure, and reports whether it exceeds a budget and how long to
// wait. A failure over the address's budget is not counted; one over the key id's
// budget still counts for the address.
func (b *budget) fail(ctx context.Context, addr netip.Addr, keyID string, now time.Time) (retryAfter time.Duration, over bool) {
	address, addressAndKey := budgetIDs(addr, keyID)
	// The address comes first: once it is over its budget it must not fill the table
	// with invented ids.
	wait := b.spend(ctx, address, b.perAddress, b.perAddress, now)
	if wait == 0 {
		wait = b.spend(ctx, addressAndKey, b.perAddressAndKey, b.perAddressAndKey, now)
	}
	return wait, wait > 0
}

// spend takes amount from the budget if at least cost is left in it, and returns 0.
// Otherwise it takes nothing, and returns how long to wait until that much is left.
// amount is cost, or 0 to check only. spend ignores the end of the request: a client
// that closes the connection early must not fail for free.
func (b *budget) spend(ctx context.Context, id string, cost, amount time.Duration, now time.Time) time.Duration {
	if cost == 0 {
		return 0
	}
	ahead, moved, err := b.limiter.Advance(context.WithoutCancel(ctx), id, now, amount, budgetWindow)
	switch {
	case err != nil:
		return cost // fail closed: without a count nothing is allowed
	case amount == 0:
		return max(0, ahead+cost-budgetWindow)
	case moved:
		return 0
	}
	return max(1, ahead+cost-budgetWindow)
}

// budgetIDs returns the ids of the two counters of a failure. All addresses of an
// IPv6 /64 share one counter, since one client usually has them all. Key ids that
// differ only in case or surrounding space share one counter, since some databases
// take them for the same.
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
