package oauth_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// pair is Latchkey and the floor, with one key each and the same login.
type pair struct {
	server *oauth.Server
	floor  *floor // signs as crypto/ecdsa does by itself, with a random number
	alike  *floor // signs as Latchkey does, without
	login  string // the form
	key    any    // signs for both
}

const pairIssuer = "https://api.example.com"

func newPair(t testing.TB, alg string) *pair {
	t.Helper()
	p := &pair{}
	signing := oauth.SigningKey{ID: "2026-03", Algorithm: alg}
	switch alg {
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		p.key, signing.Key = k, k
	case "EdDSA":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		require.NoError(t, err)
		p.key, signing.Key = k, k
	default:
		signing.Secret = bytes.Repeat([]byte("s"), 32)
		p.key = signing.Secret
	}
	pepper := bytes.Repeat([]byte("p"), 32)
	srv, err := oauth.New(memstore.New(), oauth.Config{
		Issuer: pairIssuer, Permissions: catalog, Logger: quiet, LoginTimeout: time.Minute,
		Signers: []oauth.SigningKey{signing},
		APIKeys: apikey.Options{Peppers: []apikey.Pepper{{Version: 1, Key: pepper}}},
	})
	require.NoError(t, err)
	p.server = srv
	key, secret, err := srv.APIKeys().Create(context.Background(), admin, apikey.Spec{
		Workspace: "team-a", Name: "ci", Permissions: scope.MustParse("project.list project.read"),
	})
	require.NoError(t, err)
	p.login = url.Values{"grant_type": {"client_credentials"}, "client_id": {key.ID}, "client_secret": {secret.Reveal()}}.Encode()

	// The floor's claims are those of a token of Latchkey's, so that both
	// encode, sign and send as many bytes.
	c := newCall(p.login)
	require.NoError(t, c.to(srv.Token()))
	claims := harness.Claims(t, answer{Body: string(c.reply)}.Token())
	sub, _ := claims["sub"].(string)
	secretID, _ := claims["credential_id"].(string)
	epochs, _ := claims["epochs"].([]any)
	floorWith := func(random io.Reader) *floor {
		return newFloor(alg, signing.ID, p.key, random, pepper,
			`{"iss":"`+pairIssuer+`","sub":"`+sub+`","aud":"`+pairIssuer+`","client_id":"`+sub+`","scope":"project.list project.read",`,
			`","workspace":"team-a","credential_id":"`+secretID+`","epochs":[`+fmt.Sprintf("%.0f,%.0f,%.0f", epochs...)+`]}`,
			"project.list project.read", key.ID, secret.Reveal())
	}
	p.floor, p.alike = floorWith(rand.Reader), floorWith(nil)
	size := len(c.reply)
	for _, f := range []*floor{p.floor, p.alike} {
		require.NoError(t, c.to(f))
		require.InDelta(t, size, len(c.reply), 4, "the floor answers less or more: %s", c.reply)
	}
	return p
}

// duel runs both sides in turns of 60 ms and compares the time of one call in the
// fastest turn of each side, since other turns may be disturbed on a shared
// machine. On a busy machine the processor time of the whole process, with the
// garbage collector, says more.
func duel(b *testing.B, ours, floor func() error) {
	b.Helper()
	const turn = 60 * time.Millisecond
	best := [2]time.Duration{time.Hour, time.Hour}
	cpu := best
	for b.Loop() {
		for side, f := range []func() error{ours, floor} {
			calls := 0
			begin, used := time.Now(), processorTime()
			for time.Since(begin) < turn {
				for range 16 {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				calls += 16
			}
			best[side] = min(best[side], time.Since(begin)/time.Duration(calls))
			cpu[side] = min(cpu[side], (processorTime()-used)/time.Duration(calls))
		}
	}
	reportDuel(b, best, cpu)
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = ours() }), "allocs")
	b.ReportMetric(testing.AllocsPerRun(200, func() { _ = floor() }), "floor-allocs")
}

// reportDuel reports the times of one call of each side.
func reportDuel(b *testing.B, wall, cpu [2]time.Duration) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // of a turn: says nothing
	b.ReportMetric(float64(wall[0]), "ours-ns")
	b.ReportMetric(float64(wall[1]), "floor-ns")
	b.ReportMetric(float64(wall[0])/float64(wall[1]), "x-floor")
	reportCPU(b, cpu[0], cpu[1])
}

func reportCPU(b *testing.B, ours, floor time.Duration) {
	b.Helper()
	b.ReportMetric(float64(ours), "ours-cpu-ns")
	b.ReportMetric(float64(floor), "floor-cpu-ns")
	b.ReportMetric(float64(ours)/max(1, float64(floor)), "x-floor-cpu")
}

// BenchmarkFloorLogin is a login in process, from the form to the answer.
func BenchmarkFloorLogin(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "HS256"} {
		b.Run(alg, func(b *testing.B) {
			p := newPair(b, alg)
			handler, c := p.server.Token(), newCall(p.login)
			duel(b, func() error { return c.to(handler) }, func() error { return c.to(p.floor) })
		})
	}
	// The first one again, without the allocations that the signature saves: this
	// shows the cost of the rest of Latchkey.
	b.Run("ES256/alike", func(b *testing.B) {
		p := newPair(b, "ES256")
		handler, c := p.server.Token(), newCall(p.login)
		duel(b, func() error { return c.to(handler) }, func() error { return c.to(p.alike) })
	})
}

// BenchmarkLogin is one side alone, for profiles.
func BenchmarkLogin(b *testing.B) {
	for _, alg := range []string{"ES256", "EdDSA", "HS256"} {
		b.Run(alg, func(b *testing.B) {
			p := newPair(b, alg)
			handler, c := p.server.Token(), newCall(p.login)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.to(handler); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
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
	return answer{Body: string(c.reply)}.Token()
}
