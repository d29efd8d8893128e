//go:build !race

package oauth_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// Allocations depend less on the machine than times do, and few of them keep a
// login fast. A new release of Go may change their number a little.
func TestAllocations(t *testing.T) {
	for _, tc := range []struct {
		alg          string
		form, basic  float64
		signatureOwn float64
	}{
		{alg: "ES256", form: 18, basic: 20, signatureOwn: 55},
		{alg: "EdDSA", form: 18, basic: 20},
		{alg: "HS256", form: 17, basic: 19},
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
		require.LessOrEqual(t, used, 1.0, "the context of the look-up, which is the request's own")

		handler := p.server.Require("project.list").AnyWorkspace()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		c := newCall("")
		c.request.Header.Set("Authorization", "Bearer "+token)
		used = testing.AllocsPerRun(500, func() { handler.ServeHTTP(c, c.request) })
		require.LessOrEqual(t, used, 3.0, "a guard puts the principal into the request, which takes a new context and a new request")
	})
}

// TestDirectAllocations: a secret that was seen before costs the principal.
func TestDirectAllocations(t *testing.T) {
	srv, handler, _, secret := directPair(t)
	v := srv.Verifier()
	guard := v.Require("project.list").OrSecret()
	used := testing.AllocsPerRun(500, func() {
		_, err := v.AuthorizeAny(context.Background(), secret, guard)
		require.NoError(t, err)
	})
	require.Equal(t, 1.0, used, "B32 the principal")

	c := newCall("")
	c.request.Header.Set("Authorization", "Bearer "+secret)
	used = testing.AllocsPerRun(500, func() { handler.ServeHTTP(c, c.request) })
	require.Equal(t, 3.0, used, "B32 the principal, and what puts it into the request: a new context and a new request")
}

// Tokens are not stored: many logins and checks leave only the verifier's cache in
// memory, which is bounded.
func TestMemoryIsFlat(t *testing.T) {
	many := harness.Rounds(30_000, 100_000)
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
	runtime.KeepAlive(p) // or all of it could be collected by now
	t.Logf("%d logins and checks leave %d bytes beside %d", many, grown, before)
	require.Less(t, grown, int64(1<<20), "the memory grows with the number of tokens")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool keeps lives through one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
