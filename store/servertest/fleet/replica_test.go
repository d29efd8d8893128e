package fleet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// patience bounds the wait for an expected result.
	patience = time.Minute
	// bound is the default bound of the cache.
	bound = time.Second
)

func soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }

// parallelUnlessTimed lets a test run in parallel with others, unless its durations are
// checked.
func parallelUnlessTimed(t *testing.T) {
	t.Helper()
	if !soak() {
		t.Parallel()
	}
}

// start is the initial time of every process's clock.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// replica is another process.
type replica struct {
	where
	client *http.Client
}

// launch starts processes concurrently, and stops them when the test ends.
func launch(t *testing.T, specs ...spec) []*replica {
	t.Helper()
	replicas := make([]*replica, len(specs))
	errs := make([]error, len(specs))
	var starting sync.WaitGroup
	for i, s := range specs {
		starting.Go(func() { replicas[i], errs[i] = begin(t, s) })
	}
	starting.Wait()
	require.NoError(t, errors.Join(errs...))
	for _, r := range replicas {
		require.Eventually(t, func() bool { return r.cacheUsable(t) }, patience, 5*time.Millisecond, "the cache was not used")
	}
	return replicas
}

func begin(t *testing.T, s spec) (*replica, error) {
	if s.Now.IsZero() {
		s.Now = start
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	// By default the race detector waits for a second when a process exits.
	cmd.Env = append(os.Environ(), childEnv+"=1", "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=10")
	var said bytes.Buffer
	cmd.Stderr = &said
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &replica{client: &http.Client{
		Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		_ = input.Close() // which ends the process
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("a process did not end")
		}
		if status := cmd.ProcessState; !status.Success() {
			t.Errorf("a process ended with %s: %s", status, said.String()) // for example because of a data race
		}
	})
	err = json.NewEncoder(input).Encode(s)
	if err == nil {
		err = json.NewDecoder(output).Decode(&r.where)
	}
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state says how it ended
	}()
	if err != nil {
		_ = input.Close()
		<-ended
		return nil, fmt.Errorf("the process did not start: %w: %s", err, said.String())
	}
	return r, nil
}

// tell sends an order, decodes the answer and returns its status.
func (r *replica) tell(ctx context.Context, name string, o order, answer any) (int, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.Control+"/"+name, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, fmt.Errorf("%s: %s", name, text)
	}
	return res.StatusCode, json.Unmarshal(text, answer)
}

// order sends an order, which must succeed.
func (r *replica) order(t *testing.T, name string, o order) {
	t.Helper()
	var done bool
	_, err := r.tell(context.Background(), name, o, &done)
	require.NoError(t, err)
}

func (r *replica) create(t *testing.T, workspace string) made {
	t.Helper()
	var m made
	_, err := r.tell(context.Background(), "create", order{Workspace: workspace}, &m)
	require.NoError(t, err)
	return m
}

func (r *replica) cacheUsable(t *testing.T) bool {
	t.Helper()
	var yes bool
	_, err := r.tell(context.Background(), "cacheUsable", order{}, &yes)
	require.NoError(t, err)
	return yes
}

// answer is the answer of a login or of a guarded route.
type answer struct {
	status     int
	token      string
	retryAfter string
}

func (r *replica) send(req *http.Request, err error) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var issued struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal(body, &issued) // a guarded route answers without a body
	return answer{res.StatusCode, issued.Token, res.Header.Get("Retry-After")}, err
}

func (r *replica) tryLogin(m made) (answer, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {m.Key}, "client_secret": {m.Secret}}.Encode()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+r.Public+"/api/login", strings.NewReader(form))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r.send(req, err)
}

func (r *replica) tryCall(m made, token string) (answer, error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+r.Public+"/workspaces/"+m.Workspace+"/projects", http.NoBody)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.send(req, err)
}

// login logs in, which must succeed.
func (r *replica) login(t *testing.T, m made) string {
	t.Helper()
	a, err := r.tryLogin(m)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, a.status, "login")
	require.NotEmpty(t, a.token)
	return a.token
}

func (r *replica) loginStatus(t *testing.T, m made) int {
	t.Helper()
	a, err := r.tryLogin(m)
	require.NoError(t, err)
	require.Equal(t, a.status == http.StatusOK, a.token != "")
	return a.status
}

func (r *replica) call(t *testing.T, m made, token string) int {
	t.Helper()
	a, err := r.tryCall(m, token)
	require.NoError(t, err)
	return a.status
}

// system is the storage of a fleet.
type system struct {
	name string
	spec func(t *testing.T) spec
}

func alone(name string, at func(t *testing.T) place) system {
	return system{name, func(t *testing.T) spec { t.Helper(); return spec{Keys: at(t)} }}
}

var (
	onRedis    = alone("Redis", redisPlace)
	onPostgres = alone("PostgreSQL", postgresPlace)
	onMaria    = alone("MariaDB", mariaPlace)
	onSQLite   = alone("SQLite", sqlitePlace)
	// onGalera has a node for each process.
	onGalera = system{"Galera", func(t *testing.T) spec {
		t.Helper()
		nodes := galeraPlaces(t)
		return spec{Keys: nodes[0], Others: nodes[1:]}
	}}
	// onBoth has its records in SQL, and usage and limits in Redis.
	onBoth = system{"PostgreSQL and Redis", func(t *testing.T) spec {
		t.Helper()
		limits := redisPlace(t)
		return spec{Keys: postgresPlace(t), Limits: &limits}
	}}
)
