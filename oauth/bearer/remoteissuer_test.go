package bearer_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// Package trust has the tests of answers that are wrong.
func TestRemoteKeysOfAnIssuer(t *testing.T) {
	w := newWorld(t)
	set := jwks(t, w.signer.Public())
	var issuer string
	var up atomic.Bool
	p := newPublisher(t)
	issuer = p.URL + "/tenant"
	p.fail(func(answer http.ResponseWriter, r *http.Request) {
		switch {
		case !up.Load():
			answer.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/tenant/.well-known/openid-configuration":
			_, _ = answer.Write([]byte(`{"issuer":"` + issuer + `","jwks_uri":"` + p.URL + `/set"}`))
		default:
			_, _ = answer.Write(set)
		}
	})
	keys := w.remote(p, func(c *bearer.RemoteKeysConfig) { c.URL, c.Issuer, c.Retry = "", issuer, time.Minute })
	for minute := range int64(2) {
		_, _, outages := fromMany(t, keys, func(int) string { return "k1" })
		require.EqualValues(t, 1000, outages)
		require.Equal(t, minute+1, p.fetches.Load(), "B17 Retry is kept while there is no set")
		w.wait(time.Minute)
	}
	up.Store(true)
	found, _, _ := fromMany(t, keys, func(int) string { return "k1" })
	require.EqualValues(t, 1000, found)
	require.EqualValues(t, 4, p.fetches.Load(), "metadata and keys")
	require.Contains(t, w.log.String(), p.URL+"/tenant/.well-known/openid-configuration")
}
