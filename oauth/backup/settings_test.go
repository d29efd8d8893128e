package backup_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/apikey/audit"
	"github.com/latchkey-go/latchkey/oauth/backup"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// settled returns a service with keys, settings and a deleted workspace.
func settled(t *testing.T) *rig {
	t.Helper()
	ctx, r := t.Context(), newRig(t)
	r.create(owner, "team-a", "project.list")
	r.create(admin, "team-b", "project.list")
	require.NoError(t, errOf(r.SaveSettings(ctx, admin, store.InstanceSettings{
		Instance: store.Instance{KeysOff: true, DirectOff: true, Rules: store.Rules{
			MaxKeys: 7, RequireExpiry: true, MaxLifetime: 90 * 24 * time.Hour, EnforcedFrom: noon.Add(time.Hour), KeyRequests: 60, WorkspaceRequests: 600,
		}},
		Reminders: store.Reminders{Off: true, Before: []time.Duration{48 * time.Hour, time.Hour}},
	})))
	require.NoError(t, errOf(r.SaveWorkspace(ctx, admin, store.Workspace{ID: "team-b", Rules: store.Rules{MaxKeys: store.Unlimited, KeyRequests: store.Unlimited, WorkspaceRequests: 5}})))
	require.NoError(t, r.SetSuspended(ctx, admin, "team-b", true))
	require.NoError(t, errOf(r.SaveWorkspace(ctx, admin, store.Workspace{ID: "without-keys", Rules: store.Rules{MaxKeys: 3}})))
	require.NoError(t, r.DeleteWorkspace(ctx, admin, "deleted"))
	return r
}

// settingsOf returns what a restore must keep of the settings.
func (r *rig) settingsOf() []string {
	r.t.Helper()
	s, err := r.Settings(r.t.Context(), admin)
	require.NoError(r.t, err)
	all := []string{fmt.Sprint(s.KeysOff, s.DirectOff, s.Rules, s.Reminders)}
	for _, id := range []string{"team-a", "team-b", "without-keys", "deleted"} {
		w, _, err := r.Workspace(r.t.Context(), admin, id)
		require.NoError(r.t, err)
		all = append(all, fmt.Sprint(w.ID, w.Suspended, w.Deleted, w.Rules))
	}
	return all
}

// allEvents returns the audit log by id.
func (r *rig) allEvents() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	q := store.EventQuery{}
	for more := true; more; more = q.After != nil {
		page, err := r.Events(r.t.Context(), admin, q)
		require.NoError(r.t, err)
		for _, e := range page.Events {
			all[e.ID] = fmt.Sprintf("%+v", e)
		}
		q.After = page.Next
	}
	return all
}

// Settings and events come back. Export and Restore run at the same time through a
// pipe, which holds no line: neither needs the whole.
func TestRoundTripOfSettingsAndEvents(t *testing.T) {
	from, to := settled(t), newRig(t)
	to.clock.Set(from.clock.Now())
	const many = 2*store.MaxPage + 7
	for i := range many {
		require.NoError(t, from.store.Events.Append(t.Context(), store.Event{
			ID: fmt.Sprint("refused-", i), Time: noon.Add(time.Duration(i) * time.Microsecond), Action: audit.Refuse, Workspace: "team-a", Note: "unknown_or_wrong",
		}))
	}
	in, out := io.Pipe()
	go func() { _ = out.CloseWithError(backup.Export(t.Context(), from.Service, admin, out)) }()
	done, err := backup.Restore(t.Context(), to.Service, admin, in)
	require.NoError(t, err)
	require.Empty(t, done.Problems)
	require.Equal(t, backup.Restored{Keys: 2, Settings: 4, Events: len(from.allEvents())}, done)
	require.Greater(t, done.Events, many)
	require.Equal(t, from.settingsOf(), to.settingsOf())
	restored := to.allEvents()
	for id, event := range from.allEvents() {
		require.Equal(t, event, restored[id])
	}
	_, _, err = to.Create(t.Context(), admin, apikey.Spec{Workspace: "deleted", Name: "ci"})
	require.Error(t, err, "the id of a deleted workspace cannot be used again")

	t.Run("a second time", func(t *testing.T) {
		lines, before, events := from.exportAll(), to.settingsOf(), len(to.allEvents())
		again, err := to.read(lines)
		require.NoError(t, err)
		require.Zero(t, again.Keys)
		require.Zero(t, again.Settings)
		require.Equal(t, 6, again.Refused)
		for _, problem := range again.Problems {
			require.ErrorIs(t, problem.Err, store.ErrExists)
		}
		require.Equal(t, before, to.settingsOf())
		require.Len(t, to.allEvents(), events+1, "the event of the second export, and no event twice")
	})
}

func TestRestoreSettingsRefuses(t *testing.T) {
	const event = `{"format":1,"event":{"id":"e1","time":"2026-07-01T10:00:00Z","actor":{"kind":"owner","id":"olga"},"action":"key.create","workspace":"team-a","changes":[{"field":"name","old":"na me","new":"ci"}],"note":"n"}}`
	const settings = `{"format":1,"instance":{"rules":{"max_keys":3}}}`
	const workspace = `{"format":1,"workspace":{"id":"team-b","rules":{"max_keys":3}}}`
	for _, tc := range []struct{ name, line, says string }{
		{"an event", event, ""},
		{"settings", settings, ""},
		{"a workspace", workspace, ""},
		{"an unknown kind", `{"format":1,"root":{}}`, `"root": unknown member`},
		{"an instance that is no object", `{"format":1,"instance":7}`, `"instance": it has the wrong type`},
		{"reminders without an instance", `{"format":1,"reminders":{"off":true}}`, "It holds no record"},
		{"an event and settings", strings.Replace(event, `"format":1,`, `"format":1,"instance":{},`, 1), "It mixes records"},
		{"reminders of a workspace", strings.Replace(workspace, `"format":1,`, `"format":1,"reminders":{},`, 1), "It mixes records"},
		{"another format of an event", strings.Replace(event, `"format":1`, `"format":2`, 1), "Its format is 2"},
		{"another format of settings", strings.Replace(settings, `"format":1`, `"format":2`, 1), "Its format is 2"},
		{"another format of a workspace", strings.Replace(workspace, `"format":1`, `"format":2`, 1), "Its format is 2"},
		{"an unknown member of an event", strings.Replace(event, `"note"`, `"root"`, 1), "unknown member"},
		{"an unknown member of rules", strings.Replace(settings, `"max_keys"`, `"root"`, 1), "unknown member"},
		{"a member twice", strings.Replace(event, `"note"`, `"id"`, 1), "appears twice"},
		{"an event without id", strings.Replace(event, `"e1"`, `""`, 1), "id: An id has"},
		{"B12 an action that a store cannot hold", strings.Replace(event, `key.create`, strings.Repeat("é", 200), 1), "action: "},
		{"B12 a kind of actor that a store cannot hold", strings.Replace(event, `"owner"`, `"`+strings.Repeat("é", 200)+`"`, 1), "actor: "},
		{"B12 more changes than an event has", strings.Replace(event, `"changes":[`, `"changes":[`+strings.Repeat(`{"field":"name"},`, 100), 1), "changes: "},
		{"an event without time", strings.Replace(event, `"time":"2026-07-01T10:00:00Z",`, ``, 1), `"time": is missing`},
		{"an event whose time is null", strings.Replace(event, `"2026-07-01T10:00:00Z"`, `null`, 1), "time: It may not be empty"},
		{"an event without action", strings.Replace(event, `key.create`, ``, 1), "action: It may not be empty"},
		{"B15 an actor with a line break", strings.Replace(event, `olga`, `ol\nga`, 1), "actor: It may contain printable"},
		{"B15 a field with a zero byte", strings.Replace(event, `"name"`, `"na\u0000me"`, 1), "changes: It may contain printable"},
		{"B15 a value with a zero byte", strings.Replace(event, `na me`, `na\u0000me`, 1), "changes: It may contain printable"},
		{"B15 a name of an actor with a line break", strings.Replace(event, `"actor":`, `"actor_name":"a\nb","actor":`, 1), "actor_name: It may contain printable"},
		{"B15 a name of a key with a zero byte", strings.Replace(event, `"actor":`, `"key_name":"a\u0000b","actor":`, 1), "key_name: It may contain printable"},
		{"B15 an address that is none", strings.Replace(event, `"actor":`, `"address":"<b>","actor":`, 1), "address: It must be an IP address"},
		{"B12 a long value", strings.Replace(event, `"ci"`, `"`+strings.Repeat("n", 1025)+`"`, 1), "changes: It may contain printable"},
		{"an unknown member of a change", strings.Replace(event, `"new"`, `"root"`, 1), "unknown member"},
		{"B12 a long note", strings.Replace(event, `"n"`, `"`+strings.Repeat("n", 1025)+`"`, 1), "note: It may contain printable text of at most 1024"},
		{"fewer keys than none", strings.Replace(settings, `3`, `-1`, 1), "max_keys: "},
		{"the instance suspended", strings.Replace(settings, `"rules"`, `"suspended":true,"rules"`, 1), `"suspended": unknown member`},
		{"the instance suspended, beside it", strings.Replace(settings, `"format":1,`, `"format":1,"suspended":true,`, 1), "It mixes records"},
		{"the instance deleted", strings.Replace(settings, `"rules"`, `"deleted":true,"rules"`, 1), `"deleted": unknown member`},
		{"keys off in a workspace", strings.Replace(workspace, `"rules"`, `"keys_off":true,"rules"`, 1), `"keys_off": unknown member`},
		{"B15 a workspace with a zero byte", strings.Replace(workspace, `team-b`, `te\u0000am`, 1), "workspace: It may contain printable"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t)
			done, err := r.read(tc.line + "\n" + aLine("after"))
			require.NoError(t, err)
			require.Equal(t, 1, done.Keys)
			if tc.says == "" {
				require.Equal(t, 1, done.Settings+done.Events)
				return
			}
			require.Equal(t, 1, done.Refused)
			require.ErrorAs(t, done.Problems[0].Err, new(*apikey.InvalidError))
			require.ErrorContains(t, done.Problems[0].Err, tc.says)
			require.Len(t, r.allEvents(), 1, "of the key")
		})
	}
	t.Run("a deleted workspace that has keys here", func(t *testing.T) {
		r := newRig(t)
		r.create(owner, "team-a", "project.list")
		done, err := r.read(`{"format":1,"workspace":{"id":"team-a","deleted":true}}`)
		require.NoError(t, err)
		require.ErrorIs(t, done.Problems[0].Err, store.ErrExists)
		require.Equal(t, "team-a", done.Problems[0].ID)
		page, err := r.List(t.Context(), admin, store.KeyQuery{})
		require.NoError(t, err)
		require.Len(t, page.Keys, 1, "nothing is deleted")
	})
	t.Run("settings that were saved here are not overwritten", func(t *testing.T) {
		r := settled(t)
		before := r.settingsOf()
		done, err := r.read(settings + "\n" + workspace + "\n")
		require.NoError(t, err)
		require.Equal(t, 2, done.Refused)
		require.Equal(t, before, r.settingsOf())
	})
	t.Run("for an organization admin", func(t *testing.T) {
		r := newRig(t)
		require.ErrorAs(t, r.RestoreEvent(t.Context(), owner, store.Event{ID: "e1", Time: noon, Action: audit.Create}), new(*apikey.ForbiddenError))
		require.Empty(t, r.allEvents())
	})
}

// TestInterruptedSettings interrupts the restore of a workspace's settings before each
// of its writes, and runs it again: the workspace must not be left less restricted than
// it was.
func TestInterruptedSettings(t *testing.T) {
	for name, line := range map[string]string{
		"deleted":   `{"format":1,"workspace":{"id":"team-b","rules":{"max_keys":3},"deleted":true}}`,
		"suspended": `{"format":1,"workspace":{"id":"team-b","rules":{"max_keys":3},"suspended":true}}`,
	} {
		for left := range 3 {
			t.Run(fmt.Sprint(name, " after writes: ", left), func(t *testing.T) {
				left := left
				r := rigOn(t, harness.Tapped(memstore.New(), func(context.Context, string) error {
					if left--; left < 0 {
						return errDown
					}
					return nil
				}, "Settings.SetWorkspace", "Settings.DeleteWorkspace"))
				_, _ = r.read(line) // the outage
				left = 9
				_, err := r.read(line)
				require.NoError(t, err)
				w, _, err := r.Workspace(t.Context(), admin, "team-b")
				require.NoError(t, err)
				require.Equal(t, name, map[bool]string{w.Suspended: "suspended", w.Deleted: "deleted"}[true])
			})
		}
	}
}
