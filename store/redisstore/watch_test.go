package redisstore_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/redisstore"
)

// A stream that is opening while the server does not answer ends at once when its context
// is canceled.
func TestWatchIsCanceledWhileItOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := redis.NewClient(&redis.Options{
			// go-redis looks up a name of the host, and package net then keeps a channel of
			// this bubble, which panics if another test looks up a name.
			Addr:                  "127.0.0.1:1",
			ContextTimeoutEnabled: true, MaxRetries: -1,
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() {
					defer theirs.Close()
					// A command begins with its number of words and the length of its name.
					for lines := bufio.NewScanner(theirs); lines.Scan(); {
						if !strings.HasPrefix(lines.Text(), "*") {
							continue
						}
						lines.Scan()
						if lines.Scan(); lines.Text() == "subscribe" {
							cancel()
							continue
						}
						_, _ = io.WriteString(theirs, "-ERR unknown command\r\n")
					}
				}()
				return ours, nil
			},
		})
		defer client.Close()
		driver, err := redisstore.New(client, redisstore.Config{})
		require.NoError(t, err)
		begun := time.Now()
		err = driver.Store().Watch.Watch(ctx, func() { t.Error("ready") }, func(n store.Notification) { t.Error(n) })
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, time.Since(begun))
	})
}
