package oauth_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// directPair is a guard with OrSecret on a server behind store/cache, and the floor of
// it. Both know one key, and send its secret to a handler that does nothing.
func directPair(t testing.TB) (srv *oauth.Server, ours, floor http.Handler, secret string) {
	t.Helper()
	cached, err := cache.New(memstore.New(), cache.Config{Bound: time.Minute, Logger: quiet})
	require.NoError(t, err)
	srv, err = oauth.New(cached.Store(), oauth.Config{
		Issuer: pairIssuer, Permissions: catalog, Logger: quiet, LoginTimeout: time.Minute,
		APIKeys: apikey.Options{Peppers: []apikey.Pepper{harness.Pepper()}},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cached.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	require.Eventually(t, cached.Usable, time.Minute, time.Millisecond)
	key, made, err := srv.APIKeys().Create(ctx, admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list project.read"), Direct: true,
	})
	require.NoError(t, err)
	secret = made.Reveal()
	projects := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	least := &leastDirect{keys: make(map[secretID]*leastKey), next: projects}
	newMAC := func() hash.Hash { return hmac.New(sha256.New, harness.Pepper().Key) }
	least.works.New = func() any { return &leastWork{mac: newMAC(), message: make([]byte, 0, 256)} }
	k := &leastKey{id: key.ID, workspace: "team-a", secretID: key.Credentials[0].ID, permissions: []string{"project.list", "project.read"}, expires: time.Now().Add(24 * time.Hour)}
	k.digest = least.sum(k, secret)
	sum := sha256.Sum256([]byte(secret))
	least.keys[secretID(sum[:9])] = k
	for i := range 100 {
		sum[0] = byte(i)
		least.keys[secretID(sum[:9])] = k
	}
	return srv, srv.Require("project.list").OrSecret().AnyWorkspace()(projects), least, secret
}

type secretID [9]byte

// leastKey is a key's record.
type leastKey struct {
	id, workspace, secretID string
	permissions             []string
	digest                  [sha256.Size]byte
	expires                 time.Time
	disabled                atomic.Bool
	uses, last              atomic.Int64
}

// leastCaller is what the floor tells a handler about its caller.
type leastCaller struct {
	id, workspace, secretID string
	permissions             []string
	expires                 time.Time
}

type leastCallerKey struct{}

// leastDirect is a guard that accepts secrets with the least possible work: the secret's
// id by SHA-256, a look-up in a map, one HMAC, a comparison in constant time, what ends a
// key, and one use counted.
type leastDirect struct {
	mu                 sync.RWMutex
	keys               map[secretID]*leastKey
	works              sync.Pool // of *leastWork
	keysOff, suspended atomic.Bool
	next               http.Handler
}

// leastWork is the memory that checks reuse.
type leastWork struct {
	mac     hash.Hash
	message []byte
}

// sum computes the digest of a secret of the key.
func (g *leastDirect) sum(k *leastKey, secret string) (sum [sha256.Size]byte) {
	work, _ := g.works.Get().(*leastWork)
	defer g.works.Put(work)
	// The message has the parts that Latchkey's has, so that both hash as much.
	m := work.message[:0]
	for _, part := range [...]string{"latchkey secret digest", k.id, k.workspace, k.secretID, secret} {
		m = append(binary.BigEndian.AppendUint64(m, uint64(len(part))), part...)
	}
	work.mac.Reset()
	work.mac.Write(m)
	copy(sum[:], work.mac.Sum(m[:0]))
	return sum
}

func (g *leastDirect) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	sum := sha256.Sum256(append(make([]byte, 0, 128), secret...)) // on the stack
	g.mu.RLock()
	k := g.keys[secretID(sum[:9])]
	g.mu.RUnlock()
	if k != nil {
		sum = g.sum(k, secret)
	}
	if !found || k == nil || subtle.ConstantTimeCompare(sum[:], k.digest[:]) != 1 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	now := time.Now()
	if k.disabled.Load() || !now.Before(k.expires) || g.keysOff.Load() || g.suspended.Load() || !slices.Contains(k.permissions, "project.list") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	k.uses.Add(1)
	k.last.Store(now.UnixMicro())
	caller := &leastCaller{k.id, k.workspace, k.secretID, k.permissions, k.expires}
	g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), leastCallerKey{}, caller)))
}

// directCall returns a call of a guard with the secret.
func directCall(handler http.Handler, secret string) func() error {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer "+secret)
	recorder := httptest.NewRecorder()
	return func() error {
		handler.ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			return errors.New("the secret is refused: " + recorder.Body.String())
		}
		return nil
	}
}

// BenchmarkFloorDirect is a guard's work for a secret that was seen before.
func BenchmarkFloorDirect(b *testing.B) {
	_, ours, floor, secret := directPair(b)
	duel(b, directCall(ours, secret), directCall(floor, secret))
}

// BenchmarkDirect is one side alone, for profiles. In /64 64 callers send one secret.
func BenchmarkDirect(b *testing.B) {
	_, ours, floor, secret := directPair(b)
	for name, handler := range map[string]http.Handler{"ours": ours, "floor": floor} {
		b.Run(name, func(b *testing.B) {
			call := directCall(handler, secret)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/64", func(b *testing.B) {
			b.SetParallelism(64)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				call := directCall(handler, secret)
				for pb.Next() {
					if err := call(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
