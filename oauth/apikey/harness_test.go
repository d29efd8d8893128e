package apikey_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	catalog    = harness.Catalog
	management = harness.Management
	admin      = harness.Ada
	owner      = harness.Olga
	manager    = harness.Max
)

var (
	pepper1 = apikey.Pepper{Version: 1, Key: []byte("first pepper, thirty-two bytes ok")}
	pepper5 = apikey.Pepper{Version: 5, Key: []byte("fifth pepper, thirty-two bytes ok")}
	pepper3 = apikey.Pepper{Version: 3, Key: []byte("third pepper, thirty-two bytes ok")}
)

func perms(text string) scope.Set { return scope.MustParse(text) }

func ptr[T any](v T) *T { return &v }

func errOf[T any](_ T, err error) error { return err }

// rig is a service with its clock, store and log. When the test ends, it searches
// all output of the service for the secrets that were made.
type rig struct {
	*apikey.Service
	t     testing.TB
	store store.Store
	clock *oauthtest.Clock
	logs  *harness.Recorder

	mu   sync.Mutex
	seen []observe.Decision
}

// newRig returns a service on a fresh memstore.
func newRig(t testing.TB, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	return rigOn(t, memstore.New(), configure...)
}

// rigOn returns a service on st.
func rigOn(t testing.TB, st store.Store, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	r := &rig{t: t, store: st, clock: harness.ClockAt(noon), logs: &harness.Recorder{}}
	cfg := apikey.Config{
		Permissions: catalog,
		Now:         r.clock.Now,
		Logger:      r.logs.Logger(),
		Observer:    r.observe,
		Options: apikey.Options{
			Management:  management,
			Peppers:     []apikey.Pepper{pepper1},
			RefuseAfter: -1,
		},
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

func (r *rig) observe(_ context.Context, o observe.Decision) {
	r.logs.Show(o)
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
		if o.Reason != "" {
			reasons = append(reasons, o.Reason)
		}
	}
	return reasons
}

// keep remembers secrets to search for.
func (r *rig) keep(secrets ...string) { r.logs.Keep(secrets...) }

// note remembers an error's text and passes the error on.
func (r *rig) note(err error) error {
	if err != nil {
		r.logs.Note(err.Error(), fmt.Sprintf("%+v %#v", err, err))
	}
	return err
}

// create makes a key that can log in.
func (r *rig) create(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (apikey.Key, apikey.Secret) {
	r.t.Helper()
	key, secret, err := r.tryCreate(actor, workspace, permissions, change...)
	require.NoError(r.t, err)
	return key, secret
}

func (r *rig) tryCreate(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (apikey.Key, apikey.Secret, error) {
	spec := apikey.Spec{Workspace: workspace, Name: "ci", Permissions: perms(permissions)}
	for _, c := range change {
		c(&spec)
	}
	key, secret, err := r.Create(context.Background(), actor, spec)
	if err == nil && !spec.NoSecret {
		r.keep(secret.Reveal())
	}
	return key, secret, r.note(err)
}

// rotate rotates a key that can be rotated.
func (r *rig) rotate(actor apikey.Actor, id string, rotation apikey.Rotation) (apikey.Key, apikey.Secret) {
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
	grant, err := r.logIn(apikey.Credentials{ID: id, Secret: secret, Address: addrA}, apikey.Request{Scope: requested.String()})
	return grant, r.note(err)
}

// logIn is Authenticate and Issue.
func (r *rig) logIn(c apikey.Credentials, request apikey.Request) (*apikey.Grant, error) {
	login, err := r.Authenticate(context.Background(), c)
	if err != nil {
		return nil, err
	}
	return r.Issue(context.Background(), login, request)
}

// mustLogin is login that must succeed.
func (r *rig) mustLogin(id string, secret apikey.Secret) *apikey.Grant {
	r.t.Helper()
	grant, err := r.login(id, secret.Reveal())
	require.NoError(r.t, err)
	return grant
}

// revoked reports whether a verifier would refuse the grant's token now.
func (r *rig) revoked(g *apikey.Grant) bool {
	state, err := r.store.Epochs.Read(context.Background(), store.TokenRef{Workspace: g.Key.Workspace, Key: g.Key.ID, Credential: g.CredentialID})
	return err != nil || !state.CredentialKnown ||
		g.Epochs != [3]int64{state.Instance, state.Workspace, state.Key} ||
		!state.CredentialNotAfter.IsZero() && !r.clock.Now().Before(state.CredentialNotAfter)
}

// events returns all events that match, oldest first.
func (r *rig) events(q store.EventQuery) []store.Event {
	r.t.Helper()
	q.Limit = store.MaxPage
	page, err := r.store.Events.List(context.Background(), q)
	require.NoError(r.t, err)
	slices.Reverse(page.Events)
	return page.Events
}

// searchCanaries searches all output, printed in every way, and the whole memory of
// the store for every secret that this rig made.
func (r *rig) searchCanaries() {
	_ = r.Flush(context.Background()) // a store that fails has nothing to show
	r.logs.Show(r.Service)
	r.logs.Show(r.seen[:min(len(r.seen), 100)]) // they are all alike
	r.logs.SearchStore(r.t, r.store)
}

func isForbidden(err error) bool {
	_, is := errors.AsType[*apikey.ForbiddenError](err)
	return is
}

// rules changes the rules of the instance or, unless empty, of a workspace.
func (r *rig) rules(workspace string, rules store.Rules) {
	r.t.Helper()
	if workspace != "" {
		w, _, err := r.Workspace(r.t.Context(), admin, workspace)
		require.NoError(r.t, err)
		w.Rules = rules
		_, err = r.SaveWorkspace(r.t.Context(), admin, w)
		require.NoError(r.t, err)
		return
	}
	settings, err := r.Settings(r.t.Context(), admin)
	require.NoError(r.t, err)
	settings.Rules = rules
	_, err = r.SaveSettings(r.t.Context(), admin, settings)
	require.NoError(r.t, err)
}

func bcryptOf(t testing.TB, secret string) string {
	t.Helper()
	digest, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
	require.NoError(t, err)
	return string(digest)
}
