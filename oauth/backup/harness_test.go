package backup_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const (
	elsewhere = "https://billing.example.com"
	// ory256 is a digest of "test", from Ory's own tests.
	ory256 = "$pbkdf2-sha256$i=100000,l=32$1jP+5Zxpxgtee/iPxGgOz0RfE9/KJuDElP1ley4VxXc$QJxzfvdbHYBpydCbHoFg3GJEqMFULwskiuqiJctoYpI"
)

var (
	admin   = harness.Ada
	owner   = harness.Olga
	manager = harness.Max
	noon    = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
)

func perms(text string) scope.Set { return scope.MustParse(text) }

func ptr[T any](v T) *T { return &v }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// errDown is the error of a store that cannot be reached.
var errDown = fmt.Errorf("flaky: %w", store.ErrUnavailable)

func errOf[T any](_ T, err error) error { return err }

func bcryptOf(secret string) string {
	return string(must(bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)))
}

// rig is a service with a clock and a recorder. At the end of the test it searches all
// output of the service for the secrets that were created.
type rig struct {
	*apikey.Service
	t       *testing.T
	store   store.Store
	clock   *oauthtest.Clock
	out     *harness.Recorder
	reasons []string // of refused logins
}

func newRig(t *testing.T, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	return rigOn(t, memstore.New(), configure...)
}

func rigOn(t *testing.T, st store.Store, configure ...func(*apikey.Config)) *rig {
	t.Helper()
	r := &rig{t: t, store: st, clock: harness.ClockAt(noon), out: &harness.Recorder{}}
	cfg := apikey.Config{
		Permissions: harness.Catalog,
		Now:         r.clock.Now,
		Logger:      r.out.Logger(),
		Observer: func(_ context.Context, o observe.Decision) {
			if o.Reason != "" {
				r.reasons = append(r.reasons, o.Reason)
			}
		},
		Options: apikey.Options{
			Management: harness.Management,
			Peppers:    []apikey.Pepper{harness.Pepper()},
		},
	}
	for _, change := range configure {
		change(&cfg)
	}
	r.Service = must(apikey.New(st, cfg))
	t.Cleanup(func() {
		_ = r.Flush(context.Background()) // a store that fails has nothing to show
		r.out.SearchStore(t, st)
	})
	return r
}

// create creates a key that can log in.
func (r *rig) create(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (apikey.Key, apikey.Secret) {
	r.t.Helper()
	spec := apikey.Spec{Workspace: workspace, Name: "ci", Permissions: perms(permissions)}
	for _, c := range change {
		c(&spec)
	}
	key, secret, err := r.Create(r.t.Context(), actor, spec)
	require.NoError(r.t, err)
	r.out.Keep(secret.Reveal())
	return key, secret
}

func (r *rig) rotate(actor apikey.Actor, id string, rotation apikey.Rotation) (apikey.Key, apikey.Secret) {
	r.t.Helper()
	key, secret, err := r.Rotate(r.t.Context(), actor, id, rotation)
	require.NoError(r.t, err)
	r.out.Keep(secret.Reveal())
	return key, secret
}

func (r *rig) login(id, secret string) (*apikey.Grant, error) {
	login, err := r.Authenticate(r.t.Context(), apikey.Credentials{ID: id, Secret: secret})
	if err != nil {
		return nil, err
	}
	return r.Issue(r.t.Context(), login, apikey.Request{})
}

func (r *rig) mustLogin(id string, secret apikey.Secret) *apikey.Grant {
	r.t.Helper()
	grant, err := r.login(id, secret.Reveal())
	require.NoError(r.t, err)
	return grant
}

// revoked reports whether a verifier would now refuse the grant's token as revoked.
func (r *rig) revoked(g *apikey.Grant) bool {
	state, err := r.store.Epochs.Read(r.t.Context(), store.TokenRef{Workspace: g.Key.Workspace, Key: g.Key.ID, Credential: g.CredentialID})
	return err != nil || !state.CredentialKnown ||
		g.Epochs != [3]int64{state.Instance, state.Workspace, state.Key} ||
		!state.CredentialNotAfter.IsZero() && !r.clock.Now().Before(state.CredentialNotAfter)
}

func (r *rig) events(action string) []store.Event {
	r.t.Helper()
	page, err := r.store.Events.List(r.t.Context(), store.EventQuery{Action: action, Limit: store.MaxPage})
	require.NoError(r.t, err)
	return page.Events
}

// export returns all keys of r as lines.
func (r *rig) export() string {
	r.t.Helper()
	return keyLines(r.exportAll())
}

func (r *rig) exportAll() string {
	r.t.Helper()
	var out bytes.Buffer
	require.NoError(r.t, backup.Export(r.t.Context(), r.Service, admin, &out))
	return out.String()
}

// keyLines returns the lines that are keys.
func keyLines(lines string) string {
	var keys strings.Builder
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, `{"format":1,"key":`) {
			keys.WriteString(line)
		}
	}
	return keys.String()
}

// restore restores lines into r. All of them must be accepted.
func (r *rig) restore(lines string) {
	r.t.Helper()
	done, err := r.read(lines)
	require.NoError(r.t, err)
	require.Empty(r.t, done.Problems)
	require.Equal(r.t, strings.Count(lines, "\n"), done.Keys)
}

// read calls Restore with a text.
func (r *rig) read(lines string) (backup.Restored, error) {
	return backup.Restore(r.t.Context(), r.Service, admin, strings.NewReader(lines))
}
