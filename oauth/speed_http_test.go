package oauth_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// BenchmarkFloorHTTP is a login over loopback on 32 connections that stay
// open. What counts is the processor time of the server: the client is a
// process of its own.
func BenchmarkFloorHTTP(b *testing.B) {
	if processorTime() == 0 {
		b.Skip("the processor time is not known here")
	}
	p := newPair(b, "ES256")
	b.Run("ES256", func(b *testing.B) { duelOverHTTP(b, p, p.floor) })
	b.Run("ES256/alike", func(b *testing.B) { duelOverHTTP(b, p, p.alike) }) // see BenchmarkFloorLogin
}

func duelOverHTTP(b *testing.B, p *pair, floor *floor) {
	b.Helper()
	ours := httptest.NewServer(p.server.Token())
	b.Cleanup(ours.Close)
	least := httptest.NewServer(floor)
	b.Cleanup(least.Close)
	client := startClient(b, p.login)
	const turn = 2000
	for _, address := range []string{ours.URL, least.URL} {
		client.send(address, 500)
	}
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for side, address := range []string{ours.URL, least.URL} {
			used := processorTime()
			client.send(address, turn)
			best[side] = min(best[side], (processorTime()-used)/turn)
		}
	}
	b.ReportMetric(0, "ns/op")
	reportCPU(b, best[0], best[1])
}

const connections = 32

// TestMain plays the client of BenchmarkFloorHTTP in a process of its own.
func TestMain(m *testing.M) {
	harness.Main(m, map[string]harness.Part{"client": speedClient})
}

// httpClient is the process that sends the logins.
type httpClient struct {
	*harness.Process
	b *testing.B
}

func startClient(b *testing.B, login string) *httpClient {
	b.Helper()
	return &httpClient{harness.Start(b, "client", login), b}
}

// send makes that many logins and returns when all are answered.
func (c *httpClient) send(url string, logins int) {
	c.b.Helper()
	_, err := fmt.Fprintln(c.In, strings.TrimPrefix(url, "http://"), logins)
	require.NoError(c.b, err)
	require.Equal(c.b, "done", c.Line())
}

// speedClient is the client's side.
func speedClient(t testing.TB, login string) {
	request := "POST /api/login HTTP/1.1\r\nHost: latchkey\r\nContent-Type: " + form +
		"\r\nContent-Length: " + strconv.Itoa(len(login)) + "\r\n\r\n" + login
	pools := make(map[string]*[connections]connection)
	for {
		var address string
		var logins int
		if _, err := fmt.Fscanln(os.Stdin, &address, &logins); err != nil {
			return // the benchmark is over
		}
		if pools[address] == nil {
			pools[address] = new([connections]connection)
			for i := range pools[address] {
				conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
				require.NoError(t, err)
				pools[address][i] = connection{conn, bufio.NewReader(conn)}
			}
		}
		var group sync.WaitGroup
		faults := make([]error, connections)
		for i := range pools[address] {
			group.Go(func() {
				for n := i; n < logins && faults[i] == nil; n += connections {
					faults[i] = pools[address][i].login(request)
				}
			})
		}
		group.Wait()
		answer := "done"
		if err := errors.Join(faults...); err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		_, err := fmt.Println(answer)
		require.NoError(t, err)
	}
}

type connection struct {
	net.Conn
	reader *bufio.Reader
}

func (c connection) login(request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
