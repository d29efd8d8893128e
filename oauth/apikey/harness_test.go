package apikey_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	catalog = scope.MustCatalog(
		scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list"}, {Name: "project.save"}, {Name: "project.delete"},
			{Name: "admin.project.list", Level: scope.Admin},
		}},
		scope.Group{Title: "Keys", Permissions: []scope.Permission{
			{Name: "keys.list"}, {Name: "keys.save"}, {Name: "keys.delete"}, {Name: "keys.rotate"},
			{Name: "admin.keys.list", Level: scope.Admin},
			{Name: "admin.keys.save", Level: scope.Admin},
			{Name: "admin.keys.delete", Level: scope.Admin},
		}},
	)
	management = apikey.Management{
		List: "keys.list", Save: "keys.save", Delete: "keys.delete", RotateOwn: "keys.rotate",
		AdminList: "admin.keys.list", AdminSave: "admin.keys.save", AdminDelete: "admin.keys.delete",
	}
	admin   = apikey.OrganizationAdmin("ada")
	owner   = apikey.Member("olga", apikey.Owner, "team-a")
	manager = apikey.Member("max", apikey.Manager, "team-a")
)

func perms(text string) scope.Set { return scope.MustParse(text) }

func ptr[T any](v T) *T { return &v }

// clock is the host's time, which only a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

func (c *clock) Add(d time.Duration) { c.Set(c.Now().Add(d)) }

// rig is a service with everything a test moves and looks at. When the test
// ends it searches all that the service let out for the secrets it made.
type rig struct {
	*apikey.Service
	t     testing.TB
	store store.Store
	clock *clock

	mu      sync.Mutex
	secrets []string
	told    []string // errors, printed values, observations
	seen    []apikey.Observation
	logs    bytes.Buffer
}

// Write takes the log, of both handlers.
func (r *rig) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logs.Write(line)
}

// newRig returns a service on a fresh memstore.
func newRig(t testing.TB, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	return rigOn(t, memstore.New(), configure...)
}

// rigOn returns a service on st.
func rigOn(t testing.TB, st store.Store, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	r := &rig{t: t, store: st, clock: &clock{at: noon}}
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	cfg := apikey.Config{
		Permissions: catalog,
		Management:  management,
		Peppers:     []apikey.Pepper{pepper1},
		Now:         r.clock.Now,
		Logger:      slog.New(slog.NewMultiHandler(slog.NewTextHandler(r, debug), slog.NewJSONHandler(r, debug))),
		Observer:    r.observe,
	}
	for _, change := range configure {
		change(&cfg)
	}
	var err error
	r.Service, err = apikey.New(st, cfg)
	require.NoError(t, err)
	t.Cleanup(r.searchCanaries)
	return r
}

func (r *rig) observe(o apikey.Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, o)
}

// reasons returns the reasons of the refusals observed so far.
func (r *rig) reasons() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reasons []string
	for _, o := range r.seen {
		if o.Refused {
			reasons = append(reasons, o.Reason)
		}
	}
	return reasons
}

// keep remembers secrets to search for.
func (r *rig) keep(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secrets...)
}

// note remembers an error's text and passes the error on.
func (r *rig) note(err error) error {
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, err.Error(), fmt.Sprintf("%+v %#v", err, err))
	}
	return err
}

// create makes a key that works.
func (r *rig) create(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (store.Key, apikey.Secret) {
	r.t.Helper()
	key, secret, err := r.tryCreate(actor, workspace, permissions, change...)
	require.NoError(r.t, err)
	return key, secret
}

func (r *rig) tryCreate(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (store.Key, apikey.Secret, error) {
	spec := apikey.Spec{Workspace: workspace, Name: "ci", Permissions: perms(permissions)}
	for _, c := range change {
		c(&spec)
	}
	key, secret, err := r.Create(context.Background(), actor, spec)
	if err == nil {
		r.keep(secret.Reveal())
	}
	return key, secret, r.note(err)
}

// rotate rotates a key that can be rotated.
func (r *rig) rotate(actor apikey.Actor, id string, rotation apikey.Rotation) (store.Key, apikey.Secret) {
	r.t.Helper()
	key, secret, err := r.Rotate(context.Background(), actor, id, rotation)
	require.NoError(r.t, err)
	r.keep(secret.Reveal())
	return key, secret
}

// login exchanges a secret for a grant of all permissions.
func (r *rig) login(id, secret string) (*apikey.Grant, error) {
	return r.loginFor(id, secret, scope.Set{})
}

func (r *rig) loginFor(id, secret string, requested scope.Set) (*apikey.Grant, error) {
	login, err := r.Authenticate(context.Background(), apikey.Credentials{ID: id, Secret: secret, Address: addrA})
	if err != nil {
		return nil, r.note(err)
	}
	grant, err := r.Issue(context.Background(), login, requested)
	return grant, r.note(err)
}

// mustLogin is login where it has to work.
func (r *rig) mustLogin(id string, secret apikey.Secret) *apikey.Grant {
	r.t.Helper()
	grant, err := r.login(id, secret.Reveal())
	require.NoError(r.t, err)
	return grant
}

// ended reports whether a verifier would refuse the grant's token now.
func (r *rig) ended(g *apikey.Grant) bool {
	state, err := r.store.Epochs.Read(context.Background(), store.TokenRef{Workspace: g.Key.Workspace, Key: g.Key.ID, Secret: g.SecretID})
	return err != nil || !state.SecretKnown ||
		g.Epochs[0] < state.Instance || g.Epochs[1] < state.Workspace || g.Epochs[2] < state.Key ||
		!state.SecretNotAfter.IsZero() && !r.clock.Now().Before(state.SecretNotAfter)
}

// events returns all events that match, oldest first.
func (r *rig) events(q store.EventQuery) []store.Event {
	r.t.Helper()
	q.Limit = store.MaxPage
	page, err := r.store.Events.List(context.Background(), q)
	require.NoError(r.t, err)
	oldest := make([]store.Event, len(page.Events))
	for i, e := range page.Events {
		oldest[len(oldest)-1-i] = e
	}
	return oldest
}

// searchCanaries looks for every secret that this rig made in all that it let
// out, printed in every way, and in the whole memory of its store.
func (r *rig) searchCanaries() {
	ctx := context.Background()
	var out strings.Builder
	show := func(v any) {
		fmt.Fprintf(&out, "%v\n%+v\n%#v\n%q\n", v, v, v, v)
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
	}
	_ = r.Flush(ctx) // a store that fails has nothing to show
	if page, err := r.store.Events.List(ctx, store.EventQuery{Limit: store.MaxPage}); err == nil {
		show(page)
	}
	if page, err := r.store.Keys.List(ctx, store.KeyQuery{Limit: store.MaxPage}); err == nil {
		show(page)
	}
	show(r.Service)
	show(r.seen[:min(len(r.seen), 100)]) // they have no room for one anyway
	out.WriteString(r.logs.String())
	out.WriteString(strings.Join(r.told, "\n"))
	for _, text := range dump(reflect.ValueOf(r.store)) {
		out.WriteString(text + "\n")
	}
	searchFor(r.t, out.String(), r.secrets...)
}

// searchFor fails the test if text holds a secret, plain or encoded.
func searchFor(t testing.TB, text string, secrets ...string) {
	t.Helper()
	text = strings.ToLower(text)
	for _, secret := range secrets {
		body := strings.TrimPrefix(secret, "lk_")
		for name, canary := range map[string]string{
			"the secret":    secret,
			"its body":      body,
			"its beginning": body[:len(body)/2],
			"base64":        base64.RawStdEncoding.EncodeToString([]byte(secret)),
			"base64 URL":    base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"hexadecimal":   hex.EncodeToString([]byte(secret)),
			"bytes":         strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
		} {
			if strings.Contains(text, strings.ToLower(canary)) {
				t.Errorf("B11 %s stands in what the service let out", name)
			}
		}
	}
}

// dump returns every string and byte slice that can be reached from v,
// unexported fields included.
func dump(v reflect.Value) []string {
	var texts []string
	seen := make(map[uintptr]bool)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			texts = append(texts, v.String())
		case reflect.Pointer:
			if !v.IsNil() && !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				walk(v.Elem())
			}
		case reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Map:
			for entries := v.MapRange(); entries.Next(); {
				walk(entries.Key())
				walk(entries.Value())
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				texts = append(texts, string(v.Bytes()))
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(v)
	return texts
}
