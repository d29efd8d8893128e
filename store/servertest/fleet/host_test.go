package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/cache"
	"github.com/latchkey-go/latchkey/store/servertest/servers"
)

// childEnv is set for the processes that a test starts.
const childEnv = "LATCHKEY_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		defer servers.Close()
		m.Run()
		return
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

var catalog = scope.MustCatalog(scope.Group{Title: "Projects", Permissions: []scope.Permission{
	{Name: "project.list"}, {Name: "project.read"},
}})

var administrator = apikey.OrganizationAdmin("tests")

// spec is the configuration that a process reads when it starts.
type spec struct {
	Keys place
	// Others are other places of the same records, for the other processes.
	Others []place `json:"-"`
	// Limits, unless nil, holds Usage and Limiter.
	Limits *place
	// Now is the time of the clock until it is moved.
	Now           time.Time
	RotateEvery   time.Duration
	TokenLifetime time.Duration
	// LoginsPerHour, unless 0, limits the logins of a key over all processes.
	LoginsPerHour int
}

// where is what a process prints once it serves: its addresses.
type where struct{ Public, Control string }

// host is one process: a server with a cache in front of the shared store.
type host struct {
	*oauth.Server
	store  store.Store // without the cache
	cached *cache.Cache
	clock  atomic.Pointer[time.Time]
	ring   *prompted
}

// child runs a process: it reads the spec from its input, and serves until the input ends.
func child() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var s spec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return err
	}
	h, closed, err := newHost(ctx, s)
	if err != nil {
		return err
	}
	defer closed()
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { _ = h.Run(ctx) })
	public, err := serve(ctx, h.public())
	if err != nil {
		return err
	}
	control, err := serve(ctx, h.control())
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(where{public, control}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // the input closes when the test ends, even if the test crashes
	return err
}

func newHost(ctx context.Context, s spec) (*host, func(), error) {
	h := &host{}
	h.clock.Store(&s.Now)
	st, closed, err := s.Keys.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s.Limits != nil {
		limits, closedToo, err := s.Limits.open(ctx)
		if err != nil {
			return nil, nil, err
		}
		closedKeys := closed
		closed = func() { closedToo(); closedKeys() }
		st.Usage, st.Limiter = limits.Usage, limits.Limiter
	}
	st.Upkeep = clockless{st.Upkeep}
	h.store = st
	if h.cached, err = cache.New(st, cache.Config{}); err != nil {
		return nil, nil, err
	}
	cached := h.cached.Store()
	h.ring = &prompted{from: cached.Watch, prompts: make(chan struct{}, 1)}
	cached.Watch = h.ring
	config := oauth.Config{
		Issuer: "https://fleet.example", Permissions: catalog, RotateEvery: s.RotateEvery,
		SealKeys: []oauth.SealKey{{Version: 1, Key: []byte("0123456789abcdef0123456789abcdef")}},
		APIKeys: apikey.Options{
			TokenLifetime: s.TokenLifetime,
			Peppers:       []apikey.Pepper{{Version: 1, Key: []byte("fedcba9876543210fedcba9876543210")}},
		},
		Now:    func() time.Time { return *h.clock.Load() },
		Logger: slog.New(slog.DiscardHandler),
	}
	if s.LoginsPerHour > 0 {
		config.Policy = policy.RateLimit(policy.RateLimitConfig{
			Limit: s.LoginsPerHour, Per: time.Hour, Limiter: cached.Limiter, Timeout: 20 * time.Second,
		})
		config.LoginTimeout = 30 * time.Second
	}
	h.Server, err = oauth.New(cached, config)
	return h, closed, err
}

// clockless is a store without its own clock, so that the processes use theirs, which the
// tests move.
type clockless struct{ store.Upkeep }

func (clockless) Clock(context.Context) (time.Time, error) { return time.Time{}, nil }

// public returns the handler for clients.
func (h *host) public() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range h.Routes() {
		mux.Handle(pattern, handler)
	}
	mux.Handle("GET /workspaces/{workspace}/projects", h.Require("project.list").InPath("workspace")(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })))
	return mux
}

func serve(ctx context.Context, handler http.Handler) (addr string, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), nil
}

// prompted is a stream that a test can make report a change of the signing keys. The
// server then checks them, as it does once a minute.
type prompted struct {
	from    store.Watch
	prompts chan struct{}
}

// Watch implements store.Watch.
func (p *prompted) Watch(ctx context.Context, ready func(), notify func(store.Notification)) error {
	ctx, cancel := context.WithCancel(ctx)
	var one sync.Mutex // one call at a time
	var prompting sync.WaitGroup
	defer prompting.Wait()
	defer cancel()
	tell := func(n store.Notification) {
		one.Lock()
		defer one.Unlock()
		notify(n)
	}
	prompting.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.prompts:
				tell(store.Notification{Kind: store.NotificationSigningKeys})
			}
		}
	})
	return p.from.Watch(ctx, ready, tell)
}
