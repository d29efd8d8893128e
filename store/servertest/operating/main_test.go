package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

const processEnv = "LATCHKEY_TEST_OPERATING"

// TestMain runs the program itself if a test started this binary as its process.
func TestMain(m *testing.M) {
	if os.Getenv(processEnv) == "1" {
		main()
		return
	}
	defer servers.Close()
	m.Run()
}

// patience bounds the wait for something that should happen at once.
const patience = time.Minute

func handbook(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../oauth/OPERATING.md")
	require.NoError(t, err)
	return string(text)
}

// sqlOf returns the lines of the handbook's first block of SQL after a text.
func sqlOf(t *testing.T, after string) []string {
	t.Helper()
	_, rest, found := strings.Cut(handbook(t), after)
	require.True(t, found, after)
	_, rest, found = strings.Cut(rest, "```sql\n")
	require.True(t, found, after)
	block, _, _ := strings.Cut(rest, "\n```")
	return strings.Split(block, "\n")
}

// has skips a test if there is no server, or fails it if servers are required.
func has(t *testing.T, name string, err error) {
	t.Helper()
	if errors.Is(err, servers.ErrNone) && !servers.Required() {
		t.Skipf("no %s: none is installed: %v", name, err)
	}
	require.NoError(t, err)
}

// settings are environment variables of a process.
type settings map[string]string

func (s settings) with(name, value string) settings {
	all := settings{name: value}
	for n, v := range s {
		if n != name {
			all[n] = v
		}
	}
	return all
}

func (s settings) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...) //nolint:gosec // itself
	cmd.Env = append(os.Environ(), processEnv+"=1")
	for name, value := range s {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// fails runs the program, which must end with an error, and returns what it prints.
func (s settings) fails(t *testing.T, args ...string) string {
	t.Helper()
	printed, err := s.command(args...).CombinedOutput()
	require.Error(t, err)
	return string(printed)
}

// logged is what a process has printed so far.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (s settings) firstKey(t *testing.T) key {
	t.Helper()
	printed, err := s.command("first-key").Output()
	require.NoError(t, err)
	words := strings.Fields(string(printed))
	require.Len(t, words, 2)
	return key{words[0], words[1]}
}

// replica is a process that serves.
type replica struct {
	*exec.Cmd
	base    string
	printed *logged
	ready   atomic.Bool // as the load balancer sees it
}

func (s settings) serve(t *testing.T, addr string) *replica {
	t.Helper()
	r := &replica{Cmd: s.with("LISTEN", addr).command(), base: "http://" + addr, printed: &logged{}}
	r.Stderr = r.printed
	require.NoError(t, r.Start())
	t.Cleanup(func() {
		if r.ProcessState == nil { // the test failed before it ended the process
			_ = r.Process.Kill()
			_ = r.Wait()
		}
	})
	require.Eventually(t, func() bool { return r.check(t.Context()) }, patience, 10*time.Millisecond)
	return r
}

// check is the health check of a load balancer.
func (r *replica) check(ctx context.Context) bool {
	status, _, err := send(ctx, http.MethodGet, r.base+"/ready", "", nil)
	r.ready.Store(err == nil && status == http.StatusOK)
	return r.ready.Load()
}

func send(ctx context.Context, method, target, token string, form url.Values) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res.StatusCode, string(body), err
}

// errBusy reports that the database took longer than LoginTimeout.
var errBusy = errors.New("503")

// key is the id and secret of an API key.
type key [2]string

func (k key) login(ctx context.Context, r *replica) (token string, err error) {
	status, body, err := send(ctx, http.MethodPost, r.base+"/api/login", "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {k[0]}, "client_secret": {k[1]},
	})
	var answer struct {
		Token string `json:"access_token"`
	}
	if status == http.StatusServiceUnavailable {
		return "", errBusy
	}
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &answer)
	}
	return answer.Token, err
}

// mustLogin tries again while the machine is busy.
func (k key) mustLogin(t *testing.T, r *replica) (token string) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		token, err = k.login(t.Context(), r)
		if !errors.Is(err, errBusy) {
			require.NoError(t, err)
		}
		return err == nil
	}, patience, 10*time.Millisecond)
	return token
}

// accepts calls the guarded route, again while the machine is busy.
func (r *replica) accepts(t *testing.T, token string) {
	t.Helper()
	require.Eventually(t, func() bool {
		status, err := call(t.Context(), r, token)
		require.NoError(t, err)
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status)
		return status == http.StatusOK
	}, patience, 10*time.Millisecond)
}

func call(ctx context.Context, r *replica, token string) (int, error) {
	status, _, err := send(ctx, http.MethodGet, r.base+"/workspaces/team-a/projects", token, nil)
	return status, err
}

// use logs in at one replica and calls the other.
func use(ctx context.Context, k key, at, to *replica) (int, error) {
	token, err := k.login(ctx, at)
	if err != nil {
		return 0, err
	}
	return call(ctx, to, token)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// prepare starts a server with the handbook's users, and returns the settings for the
// program.
func prepare(t *testing.T) (p *servers.Process, migrating, running settings) {
	t.Helper()
	p, err := servers.StartPostgres(t.Context(), t.TempDir())
	has(t, "PostgreSQL", err)
	t.Cleanup(p.Stop)
	execute(t, "pgx", superuser(p), sqlOf(t, "PostgreSQL, as a superuser")...)
	// The URLs of the page lead to this server.
	urls := regexp.MustCompile(`export DATABASE_URL='(.+)'`).FindAllStringSubmatch(handbook(t), -1)
	require.Len(t, urls, 2)
	here := func(text string) string { return strings.Replace(text, "db.example.com/app", p.Addr()+"/test", 1) }
	migrating = settings{"DATABASE_URL": here(urls[0][1])}
	running = settings{"DATABASE_URL": here(urls[1][1]), "ISSUER": "https://api.example.com", "PROXIES": "127.0.0.0/8"}
	for _, made := range regexp.MustCompile(`(openssl rand -hex 32) +# (\w+)`).FindAllStringSubmatch(handbook(t), -1) {
		words := strings.Fields(made[1])
		value, err := exec.Command(words[0], words[1:]...).Output()
		require.NoError(t, err)
		running = running.with(made[2], strings.TrimSpace(string(value)))
	}
	require.Len(t, running, 5)
	return p, migrating, running
}

// TestFirstDeploy follows the handbook's chapter: rights, keys, migration, two
// replicas, and a deploy that replaces them one after the other.
func TestFirstDeploy(t *testing.T) {
	p, migrating, running := prepare(t)

	seen := map[string]string{"the tables do not exist: call Migrate first": running.fails(t)}
	printed, err := migrating.command("migrate").CombinedOutput()
	require.NoError(t, err, "%s", printed)
	require.Empty(t, printed)
	k := running.firstKey(t)

	one, two := running.serve(t, freeAddr(t)), running.serve(t, freeAddr(t))
	replicas := []*replica{one, two}
	var early string
	for _, at := range replicas {
		early = k.mustLogin(t, at)
		for _, to := range replicas {
			to.accepts(t, early)
		}
	}
	t.Run("what is revoked at one replica ends at the other", func(t *testing.T) {
		token := k.mustLogin(t, one)
		status, body, err := send(t.Context(), http.MethodPost, one.base+"/api/revoke", "", url.Values{
			"token": {token}, "client_id": {k[0]}, "client_secret": {k[1]},
		})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, body)
		require.Eventually(t, func() bool {
			status, err := call(t.Context(), two, token)
			return err == nil && status == http.StatusUnauthorized
		}, patience, 10*time.Millisecond)
	})
	deploy(t, running, replicas, k, early)

	wrong := strings.Repeat("ab", 32)
	seen["pepper 1 has the fingerprint"] = running.with("PEPPER_1", wrong).fails(t)
	seen["seal key 1 has the fingerprint"] = running.with("SEAL_KEY_1", wrong).fails(t)
	seen["Config.Issuer: it must be https"] = running.with("ISSUER", "http://api.example.com").fails(t)
	seen["the user lacks a privilege"] = settings{"DATABASE_URL": running["DATABASE_URL"]}.fails(t, "migrate")
	seen["no schema or database is selected"] = settings{"DATABASE_URL": migrating["DATABASE_URL"] + "&search_path=nowhere"}.fails(t, "migrate")
	status, _, err := send(t.Context(), http.MethodGet, replicas[0].base+"/health", "", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	p.Stop()
	seen["connection refused"] = running.fails(t)
	status, body, err := send(t.Context(), http.MethodGet, replicas[0].base+"/health", "", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	require.True(t, replicas[0].check(t.Context()), "the replica stays behind the load balancer")

	_, rest, _ := strings.Cut(handbook(t), "| what you see at the start |")
	rest, _, _ = strings.Cut(rest, "\n\n")
	rows := regexp.MustCompile("(?m)^\\| `(.+?)` \\|").FindAllStringSubmatch(rest, -1)
	require.Len(t, rows, len(seen))
	for _, row := range rows {
		require.Contains(t, seen[row[1]], row[1])
		require.NotContains(t, seen[row[1]], "change-me", "no password is printed")
	}
}

// deploy replaces the replicas one after the other. Meanwhile programs log in and make
// calls through a load balancer; none fails. A token from before stays valid.
func deploy(t *testing.T, s settings, replicas []*replica, k key, early string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex // held while replicas changes
	next := 0
	choose := func() *replica {
		mu.Lock()
		defer mu.Unlock()
		for range replicas {
			next++
			if r := replicas[next%len(replicas)]; r.ready.Load() {
				return r
			}
		}
		return nil
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		for check := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; <-check.C {
			mu.Lock()
			now := append([]*replica(nil), replicas...)
			mu.Unlock()
			for _, r := range now {
				r.check(ctx)
			}
		}
	})
	var failures, calls atomic.Int64
	var first atomic.Pointer[string]
	for range 2 {
		running.Go(func() {
			for ctx.Err() == nil {
				status, err := 0, errors.New("no replica is ready")
				if at, to := choose(), choose(); at != nil && to != nil {
					status, err = use(ctx, k, at, to)
				}
				if ctx.Err() != nil {
					return
				}
				if status == http.StatusServiceUnavailable || errors.Is(err, errBusy) {
					continue // a busy machine; programs try again, too
				}
				if calls.Add(1); err != nil || status != http.StatusOK {
					failures.Add(1)
					text := fmt.Sprint(status, " ", err)
					first.CompareAndSwap(nil, &text)
				}
			}
		})
	}
	var logs []string
	for i := range replicas {
		mu.Lock()
		old := replicas[i]
		mu.Unlock()
		require.NoError(t, old.Process.Signal(syscall.SIGTERM))
		require.NoError(t, old.Wait(), "%s", old.printed)
		logs = append(logs, old.printed.String())
		fresh := s.serve(t, strings.TrimPrefix(old.base, "http://"))
		mu.Lock()
		replicas[i] = fresh
		mu.Unlock()
	}
	stop()
	running.Wait()
	require.Greater(t, calls.Load(), int64(20))
	if text := first.Load(); text != nil {
		for _, r := range replicas {
			logs = append(logs, r.printed.String())
		}
		require.Zero(t, failures.Load(), "%s\n%s", *text, strings.Join(logs, "\n"))
	}
	for _, r := range replicas {
		r.accepts(t, early)
	}
}
