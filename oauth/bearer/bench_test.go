package bearer_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

func BenchmarkVerify(b *testing.B) {
	for name, newWorld := range map[string]func(testing.TB) *world{"ES256": newWorld, "HS256": hmacWorld} {
		w := newWorld(b)
		token := w.token()
		b.Run(name+"/first", func(b *testing.B) {
			w.config.CacheEntries = -1
			v := w.verifier()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/cached", func(b *testing.B) {
			w.config.CacheEntries = 0
			v := w.verifier()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/guarded", func(b *testing.B) {
			handler := w.verifier().Require("project.list").AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			request := httptest.NewRequest("GET", "/", nil)
			request.Header.Set("Authorization", "Bearer "+token)
			recorder := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(recorder, request)
			}
		})
	}
}

// BenchmarkVerifyRemote verifies a cached token at a resource server with
// RemoteKeys and an Introspector.
func BenchmarkVerifyRemote(b *testing.B) {
	w := newWorld(b)
	p := newPublisher(b, w.signer.Public())
	w.remote(p)
	w.introspecting(newIntrospected(b))
	v := w.verifier()
	token := w.token()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	w := newWorld(b)
	v := w.verifier()
	token := w.token()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_, _ = v.Verify(context.Background(), token)
		}
	})
}

// BenchmarkFloorFirst compares the check of a token that is not cached with the
// minimal work: split, decode, hash, verify, unmarshal.
func BenchmarkFloorFirst(b *testing.B) {
	w := newWorld(b)
	w.config.CacheEntries = -1
	v := w.verifier()
	token := w.token()
	public := &w.private.PublicKey
	compare(b, func() error {
		_, err := v.Verify(context.Background(), token)
		return err
	}, func() error {
		if !leastVerify(public, token) {
			return errors.New("the floor refuses the token")
		}
		return nil
	})
}

// BenchmarkFloorSeen compares a guard's work for a cached token with a guard
// that finds the token in a map and compares expiry, epochs and permission. Both
// put the principal into the request.
func BenchmarkFloorSeen(b *testing.B) {
	w := newWorld(b)
	w.config.Now = time.Now
	current := &epochsNow{}
	current.instance.Store(1)
	current.workspace.Store(2)
	current.key.Store(3)
	w.config.Epochs = current
	token := w.token(func(c *jose.Claims) {
		c.IssuedAt, c.Expires = time.Now().Unix(), time.Now().Unix()+600
	})
	set, err := jose.MarshalKeySet([]jose.PublicKey{w.signer.Public()})
	require.NoError(b, err)
	w.config.Keys, err = bearer.StaticKeys(set)
	require.NoError(b, err)
	projects := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	ours := w.verifier().Require("project.list").AnyWorkspace()(projects)
	floor := &leastGuard{known: map[string]*caller{token: {
		workspace: "team-a", permissions: []string{"project.list"}, expires: time.Now().Add(10 * time.Minute), epochs: [3]int64{1, 2, 3},
	}}, epochs: current, next: projects}
	for range 100 { // a small map would compare lengths and not hash
		floor.known[token[:len(token)-8]+rand.Text()[:8]] = &caller{}
	}
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	call := func(handler http.Handler) func() error {
		return func() error {
			handler.ServeHTTP(recorder, request)
			if recorder.Code != http.StatusOK {
				return errors.New("the token is refused")
			}
			return nil
		}
	}
	compare(b, call(ours), call(floor))
}

// epochsNow are epochs in memory, used by both sides.
type epochsNow struct{ instance, workspace, key atomic.Int64 }

func (e *epochsNow) Revoked(_ context.Context, t bearer.Token) (bool, error) {
	return e.revoked(t.Epochs), nil
}

func (e *epochsNow) revoked(of [3]int64) bool {
	return of[0] < e.instance.Load() || of[1] < e.workspace.Load() || of[2] < e.key.Load()
}

type caller struct {
	workspace   string
	permissions []string
	expires     time.Time
	epochs      [3]int64
}

type callerKey struct{}

type leastGuard struct {
	mu     sync.RWMutex
	known  map[string]*caller
	epochs *epochsNow
	next   http.Handler
}

func (g *leastGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.RLock()
	who := g.known[token]
	g.mu.RUnlock()
	if !found || who == nil || !time.Now().Before(who.expires) || g.epochs.revoked(who.epochs) || !slices.Contains(who.permissions, "project.list") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
}

// compare runs both sides alternately for 60 ms each. It compares the time of one
// call in the fastest turn of each side, because the machine is shared.
func compare(b *testing.B, ours, floor func() error) {
	b.Helper()
	const turn = 60 * time.Millisecond
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for side, f := range []func() error{ours, floor} {
			calls := 0
			begin := time.Now()
			for time.Since(begin) < turn {
				for range 64 {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				calls += 64
			}
			best[side] = min(best[side], time.Since(begin)/time.Duration(calls))
		}
	}
	b.ReportMetric(0, "ns/op") // the time of a turn has no meaning
	b.ReportMetric(float64(best[0]), "ours-ns")
	b.ReportMetric(float64(best[1]), "floor-ns")
	b.ReportMetric(float64(best[0])/float64(best[1]), "x-floor")
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = ours() }), "allocs")
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = floor() }), "floor-allocs")
}

func leastVerify(public *ecdsa.PublicKey, token string) bool {
	parts := strings.Split(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	digest := sha256.Sum256([]byte(token[:len(parts[0])+1+len(parts[1])]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(public, digest[:], r, s) {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var c struct {
		Iss, Aud, Scope, Workspace string
		Exp                        int64
	}
	return json.Unmarshal(payload, &c) == nil && c.Iss == issuer && c.Aud == audience && c.Exp > start.Unix()
}
