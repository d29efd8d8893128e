//go:build unix

package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

func TestMain(m *testing.M) {
	if os.Getenv("SERVERS_TEST_ORPHAN") != "" {
		leaveOrphan()
	}
	defer servers.Close()
	m.Run()
}

// patience bounds the wait for an expected result.
const patience = time.Minute

func TestRedis(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir())
	started(t, p, err)
	hurt(t, p, ping("PING"))
	// Stop also works while the server is paused.
	require.NoError(t, p.Pause())
	p.Stop()
	p.Stop()
	require.Error(t, p.Kill())
	require.Error(t, p.Pause())
}

func TestRedisKeepsAcknowledgedWrites(t *testing.T) {
	t.Parallel()
	p, err := servers.StartRedis(t.Context(), t.TempDir(), "--maxmemory", "20mb")
	started(t, p, err)
	ask(t, p.Addr(), "SET", "one", "1")
	require.NoError(t, p.Kill())
	require.NoError(t, p.Restart(t.Context()))
	ask(t, p.Addr(), "SET", "two", "2")
	require.NoError(t, p.Restart(t.Context()))
	require.Equal(t, []string{"1"}, ask(t, p.Addr(), "GET", "one"))
	require.Equal(t, []string{"2"}, ask(t, p.Addr(), "GET", "two"))
	require.Equal(t, []string{"maxmemory", "20971520"}, ask(t, p.Addr(), "CONFIG", "GET", "maxmemory"))
}

// A replica that has just completed its first synchronization stops without being killed.
func TestRedisReplicaStops(t *testing.T) {
	t.Parallel()
	master, err := servers.StartRedis(t.Context(), t.TempDir(), "--repl-diskless-sync-delay", "0")
	started(t, master, err)
	_, port, err := net.SplitHostPort(master.Addr())
	require.NoError(t, err)
	for range 3 {
		dir := t.TempDir()
		replica, err := servers.StartRedis(t.Context(), dir, "--replicaof", "127.0.0.1 "+port, "--logfile", "log")
		started(t, replica, err)
		eventually(t, func(ctx context.Context) error {
			answer, err := servers.Ask(ctx, replica.Addr(), "INFO", "replication")
			if err == nil && !strings.Contains(answer[0], "master_link_status:up") {
				err = errors.New("the replica has not synchronized yet")
			}
			return err
		})
		replica.Stop()
		log, err := os.ReadFile(filepath.Join(dir, "log"))
		require.NoError(t, err)
		require.Contains(t, string(log), "bye bye", "it was not killed")
	}
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	p, err := servers.StartPostgres(t.Context(), t.TempDir())
	started(t, p, err)
	hurt(t, p, servers.PingPostgres)
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	p, err := servers.StartMariaDB(t.Context(), t.TempDir())
	started(t, p, err)
	hurt(t, p, servers.PingMariaDB)
}

// TestConcurrentMariaDBs checks that servers which start at the same time do not disturb each
// other.
func TestConcurrentMariaDBs(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p, err := servers.StartMariaDB(t.Context(), t.TempDir())
			started(t, p, err)
		})
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	_, err := servers.StartRedis(t.Context(), t.TempDir(), "--no-such-option", "1")
	require.ErrorContains(t, err, "no-such-option")
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	nodes, err := servers.StartRedisCluster(t.Context(), t.TempDir(), 3)
	needs(t, err)
	require.Len(t, nodes, 3)
	for _, node := range nodes {
		t.Cleanup(node.Stop)
	}
	served := 0
	for _, node := range nodes {
		for i := range 30 {
			if _, err := servers.Ask(t.Context(), node.Addr(), "SET", fmt.Sprint("key-", i), "x"); err == nil {
				served++
			}
		}
	}
	require.Equal(t, 30, served, "exactly one master serves each key")
	require.NoError(t, nodes[0].Kill())
	require.NoError(t, nodes[0].Restart(t.Context()))
	eventually(t, func(ctx context.Context) error {
		answer, err := servers.Ask(ctx, nodes[0].Addr(), "CLUSTER", "INFO")
		if err == nil && !strings.Contains(answer[0], "cluster_state:ok") {
			err = errors.New(answer[0])
		}
		return err
	})
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	s, err := servers.StartRedisSentinel(t.Context(), t.TempDir(), 2)
	needs(t, err)
	t.Cleanup(s.Stop)
	require.Len(t, s.Addrs(), 3)
	before, err := s.Current(t.Context())
	require.NoError(t, err)
	require.Equal(t, s.Master.Addr(), before)
	ask(t, before, "SET", "one", "1")
	require.Equal(t, []string{"2"}, ask(t, before, "WAIT", "2", "5000"))

	require.NoError(t, s.Master.Kill())
	var after string
	eventually(t, func(ctx context.Context) error {
		after, err = s.Current(ctx)
		if err == nil && after == before {
			err = errors.New("still the old master")
		}
		return err
	})
	require.Equal(t, []string{"1"}, ask(t, after, "GET", "one"))
	eventually(t, func(ctx context.Context) error {
		_, err := servers.Ask(ctx, after, "SET", "two", "2")
		return err
	})
}

// hurt pauses, restarts and kills a server, and checks that it works afterwards.
func hurt(t *testing.T, p *servers.Process, ping func(context.Context, string) error) {
	t.Helper()
	addr := p.Addr()
	require.NoError(t, ping(t.Context(), addr))

	require.NoError(t, p.Pause())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, ping(short, addr), "it is paused")
	for _, child := range p.Children() {
		// A child may have ended by itself.
		require.Contains(t, []string{"T", "Z"}, state(child), "a child of a paused server is stopped, too")
	}
	require.NoError(t, p.Resume())
	eventually(t, func(ctx context.Context) error { return ping(ctx, addr) })

	children := p.Children()
	require.NoError(t, p.Kill())
	require.Error(t, ping(t.Context(), addr), "it is dead")
	for _, child := range children {
		eventually(t, func(context.Context) error {
			if s := state(child); s != "" && s != "Z" {
				return fmt.Errorf("child %d still runs: %s", child, s)
			}
			return nil
		})
	}
	require.NoError(t, p.Restart(t.Context()))
	require.Equal(t, addr, p.Addr())
	require.NoError(t, ping(t.Context(), addr))
	require.NoError(t, p.Restart(t.Context()))
	require.NoError(t, ping(t.Context(), addr))
}

func TestServersEndWithTheTestBinary(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(binary, "-test.run=^$")
	cmd.Env = append(os.Environ(), "SERVERS_TEST_ORPHAN="+t.TempDir())
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	if strings.HasPrefix(line, "error") {
		require.NoError(t, cmd.Wait())
		needs(t, fmt.Errorf("%w: %s", servers.ErrNone, line))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0), "it runs")
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, func(context.Context) error {
		if s := state(pid); s != "" && s != "Z" {
			return errors.New("the server still runs: " + s)
		}
		return nil
	})
}

// leaveOrphan starts a server and waits to be killed.
func leaveOrphan() {
	p, err := servers.StartRedis(context.Background(), os.Getenv("SERVERS_TEST_ORPHAN"))
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println(p.Pid())
	select {}
}

func started(t *testing.T, p *servers.Process, err error) {
	t.Helper()
	needs(t, err)
	t.Cleanup(p.Stop)
}

// needs skips a test if its server is missing, or fails it if servers are required.
func needs(t *testing.T, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skip("NOT TESTED: ", err)
	}
	require.NoError(t, err)
}

func ask(t *testing.T, addr string, command ...string) []string {
	t.Helper()
	answer, err := servers.Ask(t.Context(), addr, command...)
	require.NoError(t, err)
	return answer
}

func ping(command ...string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		_, err := servers.Ask(ctx, addr, command...)
		return err
	}
}

func eventually(t *testing.T, check func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, servers.Wait(ctx, func() error { return check(ctx) }))
}

// state returns the letter of a process's state (see proc(5)), or "" if there is no such
// process.
func state(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	return strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
}
