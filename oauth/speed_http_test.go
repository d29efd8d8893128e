package oauth_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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

// clientEnv is set if this process is the client. It has the login.
const clientEnv = "LATCHKEY_SPEED_CLIENT"

// TestMain is the client of BenchmarkFloorHTTP in the process that it starts.
func TestMain(m *testing.M) {
	if login := os.Getenv(clientEnv); login != "" {
		if err := speedClient(login); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// httpClient is the process that sends the logins.
type httpClient struct {
	b   *testing.B
	in  io.Writer
	out *bufio.Reader
}

func startClient(b *testing.B, login string) *httpClient {
	b.Helper()
	program, err := os.Executable()
	require.NoError(b, err)
	command := exec.CommandContext(b.Context(), program)
	command.Env = append(os.Environ(), clientEnv+"="+login)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	require.NoError(b, err)
	out, err := command.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, command.Start())
	b.Cleanup(func() {
		_ = in.Close()
		_ = command.Wait()
	})
	return &httpClient{b, in, bufio.NewReader(out)}
}

// send makes that many logins and returns when all are answered.
func (c *httpClient) send(url string, logins int) {
	c.b.Helper()
	_, err := fmt.Fprintln(c.in, strings.TrimPrefix(url, "http://"), logins)
	require.NoError(c.b, err)
	line, err := c.out.ReadString('\n')
	require.NoError(c.b, err)
	require.Equal(c.b, "done\n", line)
}

// speedClient is the client's side.
func speedClient(login string) error {
	request := "POST /api/login HTTP/1.1\r\nHost: latchkey\r\nContent-Type: " + form +
		"\r\nContent-Length: " + strconv.Itoa(len(login)) + "\r\n\r\n" + login
	pools := make(map[string]*[connections]connection)
	for {
		var address string
		var logins int
		if _, err := fmt.Fscanln(os.Stdin, &address, &logins); err != nil {
			return nil //nolint:nilerr // the benchmark is over
		}
		if pools[address] == nil {
			pools[address] = new([connections]connection)
			for i := range pools[address] {
				conn, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
				if err != nil {
					return err
				}
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
		if _, err := fmt.Println(answer); err != nil {
			return err
		}
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
