package apikey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// Bounds of a slowGate.
const (
	slowRunning = 2      // leaves a small server a processor for everybody else
	slowWaiting = 16     // for one key
	slowKeys    = 64     // that run or wait
	slowMatches = 16_384 // remembered
)

// slowGate runs slow verifications, few at once. Each key has a share: one of
// its verifications runs at a time, and keys take turns. So a verification
// waits for at most one of each other key, and for those of its own key that
// came before. It remembers what matched, which then waits for nothing. Safe
// for concurrent use.
type slowGate struct {
	// sum names a digest and a secret, under a key that is kept inside the
	// function, out of reach of printers.
	sum func(stored, secret string) [sha256.Size]byte

	mu      sync.Mutex
	free    int
	shares  []*slowShare // the next turn is of the first that waits
	matches map[[sha256.Size]byte]struct{}
}

// slowShare is a key of which a verification runs or waits.
type slowShare struct {
	key     string
	running bool
	waiting []chan struct{} // closed when the turn comes
}

func newSlowGate() *slowGate {
	key := []byte(rand.Text())
	return &slowGate{
		free:    slowRunning,
		matches: make(map[[sha256.Size]byte]struct{}),
		sum: func(stored, secret string) (sum [sha256.Size]byte) {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(stored + "\x00" + secret)) // no digest holds a NUL
			mac.Sum(sum[:0])
			return sum
		},
	}
}

// verify reports whether stored, a slow digest of a key, is of secret. Unless
// it remembers that, it waits for its turn; where too many wait already or ctx
// ends first, the error wraps store.ErrUnavailable.
func (g *slowGate) verify(ctx context.Context, key, stored, secret string) (bool, error) {
	matches, err := secrets.ParseSlow(stored)
	if err != nil {
		return false, fmt.Errorf("apikey: imported digest: %w", err)
	}
	sum := g.sum(stored, secret)
	if g.matched(sum) {
		return true, nil
	}
	if err := g.enter(ctx, key); err != nil {
		return false, fmt.Errorf("apikey: verify imported digest: %w", err)
	}
	defer g.leave(key)
	if g.matched(sum) { // while this one waited
		return true, nil
	}
	ok, err := matches(secret)
	if err != nil {
		return false, fmt.Errorf("apikey: verify imported digest: %w", err)
	}
	if ok {
		g.remember(sum)
	}
	return ok, nil
}

// hash is secrets.HashSlow under the gate: it costs as much as a verification. All
// imports have one share, under the key id that no key has.
func (g *slowGate) hash(ctx context.Context, random io.Reader, secret string) (string, error) {
	if err := g.enter(ctx, ""); err != nil {
		return "", fmt.Errorf("apikey: hash imported secret: %w", err)
	}
	defer g.leave("")
	return secrets.HashSlow(random, secret)
}

func (g *slowGate) matched(sum [sha256.Size]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.matches[sum]
	return ok
}

func (g *slowGate) remember(sum [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.matches) >= slowMatches {
		for one := range g.matches {
			delete(g.matches, one)
			break
		}
	}
	g.matches[sum] = struct{}{}
}

// enter waits for a turn of the key. After nil, leave ends the turn.
func (g *slowGate) enter(ctx context.Context, key string) error {
	turn := make(chan struct{})
	if !g.queue(key, turn) {
		return fmt.Errorf("%w: too many slow verifications wait", store.ErrUnavailable)
	}
	select {
	case <-turn: // even if ctx has ended
		return nil
	default:
	}
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		if !g.withdraw(key, turn) {
			g.leave(key) // the turn came at this moment
		}
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// queue puts a turn behind the others of its key, and reports whether there
// was room.
func (g *slowGate) queue(key string, turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.share(key)
	if share == nil && len(g.shares) < slowKeys {
		share = &slowShare{key: key}
		g.shares = append(g.shares, share)
	}
	if share == nil || len(share.waiting) >= slowWaiting {
		return false
	}
	share.waiting = append(share.waiting, turn)
	g.next()
	return true
}

// withdraw takes back a turn, unless it has come.
func (g *slowGate) withdraw(key string, turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.share(key)
	at := slices.Index(share.waiting, turn)
	if at < 0 {
		return false
	}
	share.waiting = slices.Delete(share.waiting, at, at+1)
	g.next()
	return true
}

// leave ends a turn of the key, which then stands behind all others.
func (g *slowGate) leave(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.share(key)
	share.running = false
	at := slices.Index(g.shares, share)
	g.shares = append(slices.Delete(g.shares, at, at+1), share)
	g.free++
	g.next()
}

func (g *slowGate) share(key string) *slowShare {
	for _, share := range g.shares {
		if share.key == key {
			return share
		}
	}
	return nil
}

// next gives out free turns, and forgets the keys that need none.
func (g *slowGate) next() {
	for _, share := range g.shares {
		if g.free > 0 && !share.running && len(share.waiting) > 0 {
			close(share.waiting[0])
			share.waiting = share.waiting[1:]
			share.running = true
			g.free--
		}
	}
	g.shares = slices.DeleteFunc(g.shares, func(share *slowShare) bool { return !share.running && len(share.waiting) == 0 })
}
