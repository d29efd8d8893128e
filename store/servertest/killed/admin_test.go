package killed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store/storetest"
)

const (
	createA = "/workspaces/team-a/keys"
	newKey  = `{"name":"ci","permissions":["project.list"]}`
)

// TestKilled kills a process between a request and its answer, once before and once after
// the change was written. Another process answers the retry. The change is made once.
func TestKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.db")
	first := startAdmin(t, file)
	m := first.create(createA)
	rotate := "/keys/" + m.ID + "/rotate"
	first.diesDuring("answer", createA, newKey)

	second := startAdmin(t, file)
	require.Len(t, second.list(createA), 2, "it was written")
	made := second.alreadyDone(createA, newKey)
	require.NotEqual(t, m.ID, made)
	require.Equal(t, "ci", second.read(made).Name)
	require.Len(t, second.list(createA), 2, "B23 no second key")
	second.diesDuring("answer", rotate, `{"grace":60}`)

	third := startAdmin(t, file)
	require.Equal(t, m.ID, third.alreadyDone(rotate, `{"grace":60}`))
	require.Len(t, third.read(m.ID).Secrets, 2, "B23 no second secret")
	third.diesDuring("write", "/workspaces/team-b/keys", newKey)

	last := startAdmin(t, file)
	require.Empty(t, last.list("/workspaces/team-b/keys"), "it was not written")
	last.create("/workspaces/team-b/keys", "Idempotency-Key", "one")
	require.Len(t, last.list("/workspaces/team-b/keys"), 1)
}

// adminProcess is another process that serves the management API.
type adminProcess struct {
	*process
	url string
}

func startAdmin(t *testing.T, file string) adminProcess {
	t.Helper()
	p := start(t, "admin", file)
	return adminProcess{p, p.line()}
}

// try sends a request, which may fail. headers are pairs of a name and a value.
func (p adminProcess) try(method, path, body string, headers ...string) (*http.Response, error) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(r)
}

// call sends a request, checks the status of the answer and decodes it.
func (p adminProcess) call(method, path, body string, status int, into any, headers ...string) {
	p.t.Helper()
	got, err := p.try(method, path, body, headers...)
	require.NoError(p.t, err)
	defer got.Body.Close()
	require.Equal(p.t, status, got.StatusCode)
	require.NoError(p.t, json.NewDecoder(got.Body).Decode(into))
}

type shownKey struct {
	ID, Name string
	Secrets  []struct{ ID string }
}

func (p adminProcess) create(path string, headers ...string) shownKey {
	p.t.Helper()
	var made struct{ Key shownKey }
	p.call("POST", path, newKey, http.StatusCreated, &made, headers...)
	return made.Key
}

func (p adminProcess) read(id string) (k shownKey) {
	p.t.Helper()
	p.call("GET", "/keys/"+id, "", http.StatusOK, &k)
	return k
}

func (p adminProcess) list(path string) []shownKey {
	p.t.Helper()
	var page struct{ Keys []shownKey }
	p.call("GET", path, "", http.StatusOK, &page)
	return page.Keys
}

// alreadyDone repeats a request and returns the id of the key of the first one.
func (p adminProcess) alreadyDone(path, body string) string {
	p.t.Helper()
	var problem admin.Problem
	p.call("POST", path, body, http.StatusConflict, &problem, "Idempotency-Key", "one")
	require.Equal(p.t, admin.ProblemType+"already-done", problem.Type)
	return problem.Key
}

// diesDuring sends a request and kills the process when the request reaches the stage.
func (p adminProcess) diesDuring(stage, path, body string) {
	p.t.Helper()
	failed := make(chan error, 1)
	go func() {
		got, err := p.try("POST", path, body, "Idempotency-Key", "one", "X-Stop-At", stage)
		if err == nil {
			err = got.Body.Close()
		}
		failed <- err
	}()
	require.Equal(p.t, stage, p.line())
	p.kill()
	require.Error(p.t, <-failed, "the client gets no answer")
}

// serveAdmin is the other process.
func serveAdmin(file string) error {
	st, err := open(file)
	if err != nil {
		return err
	}
	var tap storetest.Tap
	tap.Before(func(ctx context.Context, call string) error {
		if call == "Keys.Create" && ctx.Value(stopAt{}) == "write" {
			stop("write")
		}
		return nil
	})
	keys, err := apikey.New(tap.Over(st), config(noon))
	if err != nil {
		return err
	}
	api, err := admin.New(keys, admin.Config{
		Authorize: func(*http.Request) (apikey.Actor, error) { return owner, nil },
		CursorKey: []byte("cursor key of the tests: 32 bytes"), Timeout: time.Minute,
	})
	if err != nil {
		return err
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stage := r.Header.Get("X-Stop-At")
		api.ServeHTTP(stoppingWriter{w, stage}, r.WithContext(context.WithValue(r.Context(), stopAt{}, stage)))
	}))
	fmt.Println(web.URL)
	waitToBeKilled()
	return errors.New("the process that started this one ended first")
}

type stopAt struct{}

// stop reports the stage of the request to the test, and waits to be killed.
func stop(stage string) {
	fmt.Println(stage)
	select {}
}

type stoppingWriter struct {
	http.ResponseWriter
	stage string
}

func (w stoppingWriter) WriteHeader(status int) {
	if w.stage == "answer" {
		stop("answer")
	}
	w.ResponseWriter.WriteHeader(status)
}
