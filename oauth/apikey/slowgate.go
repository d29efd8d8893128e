package apikey

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// Bounds of a slowGate.
const (
	slowRunning = 2      // leaves a small server a processor for everybody else
	slowLogins  = 16     // of one key, that run or wait
	slowKeys    = 64     // that run or wait
	slowMatches = 16_384 // remembered
)

// slowGate runs slow verifications, few at once. One of a key runs or stands in the
// queue of all keys at a time, the others of the key wait behind it. So a verification
// waits for at most one of each other key, and for those of its own key that
// came before. It remembers what matched, which then waits for nothing. Safe
// for concurrent use.
type slowGate struct {
	// sum names a digest and a secret, under a key that is kept inside the
	// function, out of reach of printers.
	sum func(stored, secret string) [sha256.Size]byte
	// running is the queue of all keys: who waits to send to a channel is served in
	// the order in which they came.
	running chan struct{}

	mu      sync.Mutex
	shares  map[string]*slowShare
	matches map[[sha256.Size]byte]struct{}
}

// slowShare is a key of which a verification runs or waits.
type slowShare struct {
	logins int
	turn   chan struct{} // the queue of the key
}

func newSlowGate() *slowGate {
	key := []byte(rand.Text())
	return &slowGate{
		running: make(chan struct{}, slowRunning),
		shares:  make(map[string]*slowShare),
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
	share := g.join(key)
	if share == nil {
		return fmt.Errorf("%w: too many slow verifications wait", store.ErrUnavailable)
	}
	err := queue(ctx, share.turn)
	if err == nil {
		if err = queue(ctx, g.running); err != nil {
			<-share.turn
		}
	}
	if err != nil {
		g.part(key)
	}
	return err
}

func (g *slowGate) leave(key string) {
	<-g.running
	<-g.part(key).turn
}

// queue waits for its turn in a queue.
func queue(ctx context.Context, turns chan<- struct{}) error {
	select {
	case turns <- struct{}{}: // even if ctx has ended
		return nil
	default:
	}
	select {
	case turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", store.ErrUnavailable, ctx.Err())
	}
}

// join returns the share of a key, or nil if there is no room.
func (g *slowGate) join(key string) *slowShare {
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.shares[key]
	if share == nil {
		share = &slowShare{turn: make(chan struct{}, 1)}
	}
	if share.logins == slowLogins || share.logins == 0 && len(g.shares) == slowKeys {
		return nil
	}
	share.logins++
	g.shares[key] = share
	return share
}

// part ends what join began.
func (g *slowGate) part(key string) *slowShare {
	g.mu.Lock()
	defer g.mu.Unlock()
	share := g.shares[key]
	if share.logins--; share.logins == 0 {
		delete(g.shares, key)
	}
	return share
}
