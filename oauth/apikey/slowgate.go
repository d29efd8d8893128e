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
	slowRunning = 2      // verifications that run at once
	slowLogins  = 16     // logins of one key that run or wait
	slowKeys    = 64     // keys whose logins run or wait
	slowMatches = 16_384 // pairs that matched and are remembered
)

// slowGate runs slow verifications, few at the same time. There is one queue for
// all keys. Only one verification of each key runs or waits in it; the others of
// that key wait for their turn. So a verification waits for at most one of each
// other key, and for the earlier ones of its own key. slowGate remembers the pairs
// that matched; these do not wait. It is safe for concurrent use.
type slowGate struct {
	// sum is an HMAC of a digest and a secret. The function closes over its key, so
	// that a printed slowGate does not show it.
	sum func(stored, secret string) [sha256.Size]byte
	// running is the queue of all keys: goroutines that wait to send to a channel
	// proceed in the order in which they came.
	running chan struct{}

	mu      sync.Mutex
	states  map[string]*slowState
	matches map[[sha256.Size]byte]struct{}
}

// slowState is the state of a key of which verifications run or wait.
type slowState struct {
	logins int
	turn   chan struct{} // the queue of the key
}

func newSlowGate() *slowGate {
	key := []byte(rand.Text())
	return &slowGate{
		running: make(chan struct{}, slowRunning),
		states:  make(map[string]*slowState),
		matches: make(map[[sha256.Size]byte]struct{}),
		sum: func(stored, secret string) (sum [sha256.Size]byte) {
			mac := hmac.New(sha256.New, key)
			mac.Write([]byte(stored + "\x00" + secret)) // no digest contains a NUL
			mac.Sum(sum[:0])
			return sum
		},
	}
}

// verify reports whether stored, a slow digest of a key, matches secret. It waits
// for its turn, unless it remembers a match. If too many wait already or ctx ends
// first, the error wraps store.ErrUnavailable.
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
	if g.matched(sum) { // another login matched it during the wait
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

// hash is secrets.HashSlow under the gate, since it costs as much as a
// verification. All imports share the turn of the empty key id, which no key has.
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

// enter waits for a turn of the key. If it returns nil, call leave after the turn.
func (g *slowGate) enter(ctx context.Context, key string) error {
	state := g.join(key)
	if state == nil {
		return fmt.Errorf("%w: too many slow verifications are waiting; try again later", store.ErrUnavailable)
	}
	err := queue(ctx, state.turn)
	if err == nil {
		if err = queue(ctx, g.running); err != nil {
			<-state.turn
		}
	}
	if err != nil {
		g.release(key)
	}
	return err
}

func (g *slowGate) leave(key string) {
	<-g.running
	<-g.release(key).turn
}

// queue waits until it can send to turns.
func queue(ctx context.Context, turns chan<- struct{}) error {
	select {
	case turns <- struct{}{}: // a free turn is taken even if ctx has ended
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

// join counts a login of a key and returns the key's state, or nil if a bound is
// reached.
func (g *slowGate) join(key string) *slowState {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := g.states[key]
	if state == nil {
		state = &slowState{turn: make(chan struct{}, 1)}
	}
	if state.logins == slowLogins || state.logins == 0 && len(g.states) == slowKeys {
		return nil
	}
	state.logins++
	g.states[key] = state
	return state
}

// release undoes one join.
func (g *slowGate) release(key string) *slowState {
	g.mu.Lock()
	defer g.mu.Unlock()
	state := g.states[key]
	if state.logins--; state.logins == 0 {
		delete(g.states, key)
	}
	return state
}
