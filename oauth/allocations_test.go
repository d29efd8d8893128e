package oauth_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// Times depend on the machine, allocations hardly: they are what keeps a login
// fast. A new release of Go may shift them by a few.
func TestAllocations(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates itself")
	}
	for _, tc := range []struct {
		alg          string
		form, basic  float64
		signatureOwn float64
	}{
		{alg: "ES256", form: 11, basic: 14, signatureOwn: 55},
		{alg: "EdDSA", form: 11, basic: 14},
		{alg: "HS256", form: 10, basic: 13},
	} {
		t.Run(tc.alg, func(t *testing.T) {
			p := newPair(t, tc.alg)
			handler, c := p.server.Token(), newCall(p.login)
			used := testing.AllocsPerRun(500, func() { require.NoError(t, c.to(handler)) })
			t.Logf("a login with a form makes %v allocations, %v of them the signature's own", used, tc.signatureOwn)
			require.LessOrEqual(t, used-tc.signatureOwn, tc.form, "a login with a form")

			id, secret := p.credentials()
			c = newCall("grant_type=client_credentials")
			c.request.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
			used = testing.AllocsPerRun(500, func() { require.NoError(t, c.to(handler)) })
			t.Logf("with Basic %v", used)
			require.LessOrEqual(t, used-tc.signatureOwn, tc.basic, "a login with Basic")
		})
	}

	t.Run("bearer check of a token seen before", func(t *testing.T) {
		p := newPair(t, "ES256")
		token := p.token(t)
		verifier := p.server.Verifier()
		used := testing.AllocsPerRun(500, func() {
			_, err := verifier.Verify(context.Background(), token)
			require.NoError(t, err)
		})
		require.Zero(t, used)

		handler := p.server.Require("project.list").AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		c := newCall("")
		c.request.Header.Set("Authorization", "Bearer "+token)
		used = testing.AllocsPerRun(500, func() { handler.ServeHTTP(c, c.request) })
		require.LessOrEqual(t, used, 3.0, "a guard puts the principal into the request, which takes a new context and a new request")
	})
}

// credentials returns the key's id and its secret.
func (p *pair) credentials() (id, secret string) {
	for field := range strings.SplitSeq(p.login, "&") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "client_id":
			id = value
		case "client_secret":
			secret = value
		}
	}
	return id, secret
}

func (p *pair) token(t testing.TB) string {
	t.Helper()
	c := newCall(p.login)
	require.NoError(t, c.to(p.server.Token()))
	return answer{body: string(c.reply)}.token()
}

// Tokens are not kept: what many logins and checks leave behind is the
// verifier's cache, which is bounded.
func TestMemoryIsFlat(t *testing.T) {
	if raced {
		t.Skip("the race detector keeps memory of its own")
	}
	const many = 100_000
	p := newPair(t, "HS256") // the fastest: signatures leave nothing behind
	handler, verifier := p.server.Token(), p.server.Verifier()
	const callers = 8
	run := func(logins int) {
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				c := newCall(p.login)
				for range logins / callers {
					if err := c.to(handler); err != nil {
						t.Error(err)
						return
					}
					token := string(c.reply[len(`{"access_token":"`):])
					if _, err := verifier.Verify(context.Background(), token[:strings.IndexByte(token, '"')]); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		group.Wait()
	}
	run(3 * bearer.DefaultCacheEntries) // the cache is full
	before := heap()
	run(many)
	grown := int64(heap()) - int64(before)
	runtime.KeepAlive(p) // or all of it could be gone by now
	t.Logf("%d logins and checks leave %d bytes beside %d", many, grown, before)
	require.Less(t, grown, int64(1<<20), "a token has some 600 bytes; all of them would have 60 MB")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool keeps lives through one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Readers share no lock: 64 callers on two processors do about twice what they
// do on one, and wait for no mutex. How much more depends on who else uses the
// machine, so it is required with LATCHKEY_SOAK=1 only.
func TestScaling(t *testing.T) {
	if raced || testing.Short() || runtime.NumCPU() < 2 {
		t.Skip("needs two processors and none of the race detector's locks")
	}
	p := newPair(t, "ES256")
	handler, verifier := p.server.Token(), p.server.Verifier()
	token := p.token(t)
	login := func() func() error {
		c := newCall(p.login)
		return func() error { return c.to(handler) }
	}
	check := func() func() error {
		return func() error {
			_, err := verifier.Verify(context.Background(), token)
			return err
		}
	}
	for name, tc := range map[string]struct {
		caller func() func() error
		calls  int
	}{
		"login":        {login, 1 << 12},
		"bearer check": {check, 1 << 19},
	} {
		t.Run(name, func(t *testing.T) {
			rate := func(processors int) (float64, float64) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
				best, busy := 0.0, 0.0
				for range 5 {
					begin, used := time.Now(), processorTime()
					together(t, 64, tc.calls, tc.caller)
					took := time.Since(begin)
					if r := float64(tc.calls) / took.Seconds(); r > best {
						best, busy = r, float64(processorTime()-used)/float64(took)
					}
				}
				return best, busy
			}
			one, _ := rate(1)
			two, busy := rate(2)
			t.Logf("%.0f a second on one processor, %.0f on two: x%.2f, with x%.2f of one processor's time", one, two, two/one, busy)
			if os.Getenv("LATCHKEY_SOAK") != "" && busy > 1.8 { // nobody else wanted the second one
				require.Greater(t, two/one, 1.3)
			}

			defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
			waits := mutexWaits()
			together(t, 64, tc.calls, tc.caller)
			waits = mutexWaits() - waits
			t.Logf("%d calls waited %d times for a mutex", tc.calls, waits)
			require.Less(t, waits, int64(tc.calls/20))
		})
	}
}

// together makes calls from that many goroutines, one caller each.
func together(t *testing.T, goroutines, calls int, caller func() func() error) {
	t.Helper()
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			call := caller()
			for range calls / goroutines {
				if err := call(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
}

// mutexWaits is how often Latchkey's code has waited for a mutex while the
// profile was on.
func mutexWaits() int64 {
	records := make([]runtime.BlockProfileRecord, 1000)
	n, _ := runtime.MutexProfile(records)
	var waits int64
	for _, r := range records[:min(n, len(records))] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			frame, more := frames.Next()
			if strings.Contains(frame.Function, "latchkey-go/latchkey/oauth.") {
				waits += r.Count
				break
			}
			if !more {
				break
			}
		}
	}
	return waits
}
