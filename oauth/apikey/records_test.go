package apikey_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// records returns all keys of r.
func (r *rig) records() []store.Found {
	r.t.Helper()
	var all []store.Found
	for record, err := range r.Records(r.t.Context(), admin) {
		require.NoError(r.t, err)
		all = append(all, record)
	}
	return all
}

// restore stores records, all of which must be accepted.
func (r *rig) restore(records ...store.Found) {
	r.t.Helper()
	add, err := r.Restorer(r.t.Context(), admin)
	require.NoError(r.t, err)
	for _, record := range records {
		require.NoError(r.t, add(record))
	}
}

func TestRecords(t *testing.T) {
	r := newRig(t)
	first, secret := r.create(owner, "team-a", "project.list")
	r.clock.Advance(time.Second)
	second, _ := r.create(admin, "team-b", "")
	require.NoError(t, r.SetSuspended(t.Context(), admin, "team-b", true))
	r.mustLogin(first.ID, secret)
	require.NoError(t, r.Flush(t.Context()))
	all := r.records()
	require.Len(t, all, 2)
	require.Equal(t, []string{first.ID, second.ID}, []string{all[0].Key.ID, all[1].Key.ID})
	require.True(t, strings.HasPrefix(all[0].Key.Credentials[0].Digest, "hmac-sha256$1$"))
	require.Equal(t, r.clock.Now(), all[0].Key.LastUsed)
	require.Equal(t, []bool{false, true}, []bool{all[0].Workspace.Suspended, all[1].Workspace.Suspended})

	t.Run("the caller stops", func(t *testing.T) {
		taken := 0
		for _, err := range r.Records(t.Context(), admin) {
			require.NoError(t, err)
			taken++
			break
		}
		require.Equal(t, 1, taken)
	})
	for _, call := range []string{"Events.Append", "Keys.List"} {
		t.Run("B19 an outage of "+call, func(t *testing.T) {
			down := true
			cut := rigOn(t, harness.Tapped(r.store, harness.While(&down, errDown), call))
			taken := 0
			for record, err := range cut.Records(t.Context(), admin) {
				require.ErrorIs(t, err, store.ErrUnavailable)
				require.Zero(t, record)
				taken++
			}
			require.Equal(t, 1, taken)
			down = false
		})
	}
}

func TestRecordsAreForAdministrators(t *testing.T) {
	r := newRig(t)
	key, _ := r.create(admin, "team-a", "project.list keys.list keys.save admin.keys.list admin.keys.save")
	for name, actor := range map[string]apikey.Actor{
		"B11 nobody": {}, "B11 an owner": owner, "B11 a manager": manager, "B11 a key": asKey(key),
	} {
		t.Run(name, func(t *testing.T) {
			yielded := 0
			for record, err := range r.Records(t.Context(), actor) {
				require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
				require.Zero(t, record)
				yielded++
			}
			require.Equal(t, 1, yielded)
			add, err := r.Restorer(t.Context(), actor)
			require.ErrorAs(t, r.note(err), new(*apikey.ForbiddenError))
			require.Nil(t, add)
		})
	}
	require.Empty(t, r.events(store.EventQuery{Action: audit.Export}))
}

func TestRestorer(t *testing.T) {
	was := newRig(t)
	key, secret := was.create(owner, "team-a", "project.list")
	for range 3 {
		require.NoError(t, errOf(was.Disable(t.Context(), owner, key.ID, 0)))
		require.NoError(t, errOf(was.Enable(t.Context(), owner, key.ID, 0)))
	}
	record := was.records()[0]
	require.NotEqual(t, int64(1), record.Key.Version)
	// Not in the form that stores keep.
	record.Key.Created = record.Key.Created.In(time.FixedZone("east", 3600)).Add(time.Nanosecond)
	record.Key.Credentials[0].Created = record.Key.Created
	given := record.Key.Clone()

	r := rigOn(t, memstore.New())
	r.restore(record)
	require.Equal(t, given, record.Key, "the caller's record is not changed")
	got, err := r.store.Keys.Lookup(t.Context(), key.ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), got.Key.Version)
	require.NotEqual(t, record.Key.Epoch, got.Key.Epoch, "B30")
	require.Equal(t, noon, got.Key.Created)
	require.Equal(t, noon, got.Key.Credentials[0].Created)
	r.mustLogin(key.ID, secret)
}

// TestRestorerDecidesAgain changes a precondition of a restored key between its
// reads and its write.
func TestRestorerDecidesAgain(t *testing.T) {
	st := memstore.New()
	direct := rigOn(t, st)
	calls := 0
	r := rigOn(t, harness.Tapped(st, func(ctx context.Context, _ string) error {
		if calls++; calls > 3 {
			return nil
		}
		return direct.SetSuspended(ctx, admin, "team-a", false)
	}, "Keys.Create"))
	r.restore(store.Found{
		Key:       store.Key{ID: "k", Workspace: "team-a", Name: "ci", Created: noon},
		Workspace: store.Workspace{Suspended: true},
	})
	require.Equal(t, 4, calls)
	require.True(t, r.records()[0].Workspace.Suspended, "B27")
}

func TestRestorerOutages(t *testing.T) {
	record := store.Found{
		Key:       store.Key{ID: "k", Workspace: "team-a", Name: "ci", Created: noon},
		Workspace: store.Workspace{Suspended: true},
	}
	for _, call := range []string{"Settings.Workspace", "Settings.Instance", "Settings.SetWorkspace", "Keys.Lookup", "Keys.Create"} {
		t.Run("B19 "+call, func(t *testing.T) {
			down := true
			r := rigOn(t, harness.Tapped(memstore.New(), harness.While(&down, errDown), call))
			add, err := r.Restorer(t.Context(), admin)
			require.NoError(t, err)
			requireOutage(t, add(record))
			down = false
			require.Empty(t, r.records())
			r.restore(record)
		})
	}
}
