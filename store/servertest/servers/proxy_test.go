//go:build unix

package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestProxyCarriesBothWays(t *testing.T) {
	p, c := proxied(t)
	for range 3 {
		c.says(t, "hello")
	}
	big := strings.Repeat("x", 1<<20)
	c.says(t, big)
	require.Equal(t, 1, p.Open())
	require.NoError(t, c.Close())
	closes(t, p)
}

func TestProxyCut(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Cut()
	require.Error(t, c.ends(t))
	closes(t, p)
	connect(t, p).says(t, "again")
}

func TestProxyCutAfter(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.CutAfter(10)
	c.says(t, "one")  // 4 bytes with the line's end
	c.sends(t, "two") // 4
	c.sends(t, "three")
	got, _ := io.ReadAll(c.r)
	require.Equal(t, "two\nth", string(got))
	connect(t, p).says(t, "once only, however much there is to say")

	p.CutAfter(2)
	p.CutAfter(-1)
	connect(t, p).says(t, "taken back")

	p.CutAfter(0)
	c = connect(t, p)
	c.sends(t, "one")
	got, _ = io.ReadAll(c.r)
	require.Empty(t, got)
}

func TestProxyDelay(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Delay(200 * time.Millisecond)
	begin := time.Now()
	c.says(t, "slowly")
	require.GreaterOrEqual(t, time.Since(begin), 200*time.Millisecond)
	p.Delay(0)
	c.says(t, "fast")
	// Close does not wait for a delayed answer.
	p.Delay(time.Hour)
	c.sends(t, "never")
	p.Cut()
	require.Error(t, c.ends(t))
}

func TestProxyFreeze(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Freeze()
	p.Freeze()
	c.sends(t, "held back")
	c.silent(t)
	other := connect(t, p)
	other.sends(t, "accepted")
	other.silent(t)
	p.Thaw()
	p.Thaw()
	require.Equal(t, "held back", c.hears(t))
	require.Equal(t, "accepted", other.hears(t))
}

func TestProxyAbandon(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Freeze()
	c.sends(t, "held back")
	c.silent(t)
	p.Abandon()
	c.sends(t, "into the void")
	c.silent(t)
	other := connect(t, p)
	other.says(t, "a new line")
	p.Freeze()
	p.Thaw()
	c.silent(t)
	require.NoError(t, c.Close())
	other.says(t, "still there")
	require.NoError(t, other.Close())
	closes(t, p)
}

func TestProxyDropNext(t *testing.T) {
	p, c := proxied(t)
	p.DropNext("secret")
	c.says(t, "something else")
	c.sends(t, "a secret")
	c.silent(t)
	require.Equal(t, 1, p.Dropped())
	c.says(t, "the next secret")
	require.Equal(t, 1, p.Dropped())
}

func TestProxyRefuse(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Refuse(true)
	require.Error(t, connect(t, p).ends(t))
	c.says(t, "still there")
	p.Refuse(false)
	connect(t, p).says(t, "hello")
}

func TestProxyWithoutServer(t *testing.T) {
	p, err := servers.NewProxy("127.0.0.1:1")
	require.NoError(t, err)
	defer p.Close()
	require.Error(t, connect(t, p).ends(t))
}

func TestProxyCloseEndsEverything(t *testing.T) {
	p, c := proxied(t)
	c.says(t, "hello")
	p.Freeze()
	c.sends(t, "held back")
	p.Close()
	require.Error(t, c.ends(t))
	require.Zero(t, p.Open())
}

// client sends lines through a proxy to a server that sends them back.
type client struct {
	net.Conn
	r *bufio.Reader
}

func proxied(t *testing.T) (*servers.Proxy, client) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p, err := servers.NewProxy(l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p, connect(t, p)
}

func connect(t *testing.T, p *servers.Proxy) client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return client{c, bufio.NewReader(c)}
}

func (c client) sends(t *testing.T, text string) {
	t.Helper()
	_, err := fmt.Fprintln(c, text)
	require.NoError(t, err)
}

func (c client) hears(t *testing.T) string {
	t.Helper()
	line, err := c.r.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\n")
}

func (c client) says(t *testing.T, text string) {
	t.Helper()
	c.sends(t, text)
	require.Equal(t, text, c.hears(t))
}

// silent checks that nothing arrives for a while.
func (c client) silent(t *testing.T) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	_, err := c.r.ReadByte()
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout(), err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
}

// ends reads until the connection ends, which must not be because of a timeout.
func (c client) ends(t *testing.T) error {
	t.Helper()
	for {
		_, err := c.r.ReadByte()
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func closes(t *testing.T, p *servers.Proxy) {
	t.Helper()
	eventually(t, func(context.Context) error {
		if n := p.Open(); n != 0 {
			return fmt.Errorf("%d connections are open", n)
		}
		return nil
	})
}
