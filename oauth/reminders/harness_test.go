package reminders_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/oauth/reminders"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

var (
	noon  = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	admin = harness.Ada
	owner = harness.Olga
)

func ptr[T any](v T) *T { return &v }

// setup are the options of a rig.
type setup struct {
	apikey.Config
	send func(context.Context, reminders.Reminder) error
}

// rig is a service of keys with its reminders.
type rig struct {
	*apikey.Service
	*reminders.Sender
	t     testing.TB
	store store.Store
	clock *oauthtest.Clock
}

func newRig(t testing.TB, configure ...func(*setup)) *rig {
	t.Helper()
	return rigOn(t, memstore.New(), configure...)
}

func rigOn(t testing.TB, st store.Store, configure ...func(*setup)) *rig {
	t.Helper()
	r := &rig{t: t, store: st, clock: harness.ClockAt(noon)}
	s := setup{Config: apikey.Config{
		Permissions: harness.Catalog,
		Now:         r.clock.Now,
		Logger:      (&harness.Recorder{}).Logger(),
		Options:     apikey.Options{RemindBefore: []time.Duration{30 * day, 7 * day, day}},
	}}
	for _, change := range configure {
		change(&s)
	}
	var err error
	r.Service, err = apikey.New(st, s.Config)
	require.NoError(t, err)
	if s.send != nil {
		r.Sender, err = reminders.New(st, r.Service, s.send)
		require.NoError(t, err)
	}
	return r
}

func (r *rig) create(actor apikey.Actor, workspace, permissions string, change ...func(*apikey.Spec)) (apikey.Key, apikey.Secret) {
	r.t.Helper()
	spec := apikey.Spec{Workspace: workspace, Name: "ci", Permissions: scope.MustParse(permissions)}
	for _, c := range change {
		c(&spec)
	}
	key, secret, err := r.Create(context.Background(), actor, spec)
	require.NoError(r.t, err)
	return key, secret
}

// reminders changes the settings of reminders.
func (r *rig) reminders(off bool, times ...time.Duration) {
	r.t.Helper()
	settings, err := r.Settings(r.t.Context(), admin)
	require.NoError(r.t, err)
	settings.Reminders = store.Reminders{Off: off, Before: times}
	_, err = r.SaveSettings(r.t.Context(), admin, settings)
	require.NoError(r.t, err)
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
