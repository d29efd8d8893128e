package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// maxKeys is the limit of keys of a workspace in these tests.
const maxKeys = 4

var (
	catalog = scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{{Name: "project.list"}}})
	admin   = apikey.OrganizationAdmin("tests")
	quiet   = slog.New(slog.DiscardHandler)
	seal    = []oauth.SealKey{{Version: 1, Key: bytes.Repeat([]byte{7}, 32)}}
)

// host is a program that embeds Latchkey.
type host struct {
	name string
	mux  *http.ServeMux
	srv  *oauth.Server
	busy func() int // connections to its store that are in use

	key, secret, token string
	canaries           []string
}

func newHost(t *testing.T, name string, r *rig, wrap func(store.Store) store.Store) *host {
	t.Helper()
	h := &host{name: name, mux: http.NewServeMux()}
	st, busy := r.open(t)
	h.busy = busy
	srv, err := oauth.New(wrap(st), oauth.Config{
		Issuer: "https://api.example", Permissions: catalog, Policy: policy.MaxKeys(maxKeys), Logger: quiet,
		SealKeys: seal,
	})
	require.NoError(t, err)
	h.srv = srv
	for pattern, handler := range srv.Routes() {
		h.mux.Handle(pattern, handler)
	}
	h.mux.Handle("GET /workspaces/{workspace}/projects", srv.Require("project.list").InPath("workspace")(http.NotFoundHandler()))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = srv.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	key, secret, err := h.create(t.Context(), "team-"+name)
	require.NoError(t, err)
	h.key, h.secret = key, secret
	h.canaries = append(r.wanted(), secret)
	a := h.login()
	require.Equal(t, http.StatusOK, a.status, a.body)
	h.token = a.token()
	require.Equal(t, passed, h.guarded().status)
	return h
}

// create creates a key within the timeout of a request.
func (h *host) create(ctx context.Context, workspace string) (id, secret string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	key, s, err := h.srv.APIKeys().Create(ctx, admin, apikey.Spec{Workspace: workspace, Name: "ci", Permissions: scope.MustParse("project.list")})
	if err != nil {
		return "", "", err
	}
	return key.ID, s.Reveal(), nil
}

// passed is the answer of the guarded route.
const passed = http.StatusNotFound

func (h *host) login() answer {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {h.key}, "client_secret": {h.secret}}
	r := httptest.NewRequest(http.MethodPost, "/api/login", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return h.ask(r)
}

func (h *host) guarded() answer {
	r := httptest.NewRequest(http.MethodGet, "/workspaces/team-"+h.name+"/projects", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+h.token)
	return h.ask(r)
}

func (h *host) ask(r *http.Request) answer {
	began := time.Now()
	w := httptest.NewRecorder()
	h.mux.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return answer{status: w.Code, header: w.Header(), body: string(body), began: began, took: time.Since(began)}
}

type answer struct {
	status int
	header http.Header
	body   string
	began  time.Time
	took   time.Duration
}

func (a answer) token() string {
	var object struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal([]byte(a.body), &object)
	return object.Token
}

// check checks what is true of every answer, whatever the state of the store.
func (h *host) check(t *testing.T, what string, a answer, well int) {
	t.Helper()
	require.Contains(t, []int{well, http.StatusServiceUnavailable}, a.status, "%s of %s: %s", what, h.name, a.body)
	require.Less(t, a.took, tooLong, "%s of %s", what, h.name)
	if a.status != http.StatusServiceUnavailable {
		return
	}
	after, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(t, err, "Retry-After")
	require.Positive(t, after)
	require.Empty(t, a.token(), "a token in an answer that is not a success")
	text := a.body + fmt.Sprint(a.header)
	for _, canary := range h.canaries {
		require.NotContains(t, text, canary)
	}
}

// acceptable reports whether a change may fail with err: because the store is
// unavailable, or because of the limit.
func acceptable(err error) bool {
	return err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || limited(err)
}

func limited(err error) bool {
	var denied *policy.Denied
	return errors.Is(err, store.ErrLimit) || errors.As(err, &denied)
}

// labelled runs f with a profiler label, which the goroutines that it starts inherit.
func labelled(name string, f func()) {
	pprof.Do(context.Background(), pprof.Labels("rig", name), func(context.Context) { f() })
}

// goroutines returns the number of goroutines with the label, and their stacks.
func goroutines(name string) (n int, stacks string) {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	for _, record := range strings.Split(profile.String(), "\n\n") {
		if !strings.Contains(record, `"rig":"`+name+`"`) {
			continue
		}
		var count int
		for _, line := range strings.Split(record, "\n") {
			if _, err := fmt.Sscanf(line, "%d @", &count); err == nil {
				break
			}
		}
		n += count
		stacks += record + "\n\n"
	}
	return n, stacks
}
