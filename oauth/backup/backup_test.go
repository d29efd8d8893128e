package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

func portable(c *apikey.Config) {
	c.Imported = true
	c.Resources = []apikey.Resource{{URI: elsewhere}}
}

// opened is a key, its secret and the expected result of a login.
type opened struct {
	id, secret string
	refused    string // the reason, empty for a login
}

// withAllKinds returns a service with all kinds of keys.
func withAllKinds(t *testing.T, st store.Store) (*rig, []opened) {
	t.Helper()
	ctx := t.Context()
	r := rigOn(t, st, portable)
	var all []opened
	add := func(key apikey.Key, secret apikey.Secret, refused string) {
		all = append(all, opened{key.ID, secret.Reveal(), refused})
	}
	r.clock.Advance(time.Microsecond)
	plain, secret := r.create(owner, "team-a", "project.list")
	add(plain, secret, "")

	r.clock.Advance(time.Hour)
	wild, secret := r.create(admin, "team-b", "project.* keys.save admin.keys.list", func(s *apikey.Spec) {
		s.Name, s.Resources, s.Direct = `CI "<nightly>" für B`, []string{elsewhere}, true
		s.Expiry = must(apikey.ParseExpiry("2027-01-31"))
	})
	require.Empty(t, wild.Withheld.Names())
	add(wild, secret, "")
	child, secret := r.create(apikey.ByKey(wild.ID, perms("keys.save project.list"), ""), "team-b", "project.list")
	add(child, secret, "")

	rotated, old := r.create(owner, "team-a", "project.list")
	_, fresh := r.rotate(owner, rotated.ID, apikey.Rotation{Grace: 24 * time.Hour})
	add(rotated, old, "")
	add(rotated, fresh, "")
	noGrace, old := r.create(owner, "team-a", "project.list")
	_, fresh = r.rotate(owner, noGrace.ID, apikey.Rotation{})
	add(noGrace, old, "unknown_or_wrong")
	add(noGrace, fresh, "")

	disabled, secret := r.create(owner, "team-a", "")
	_, err := r.Disable(ctx, owner, disabled.ID, 0)
	require.NoError(t, err)
	add(disabled, secret, "disabled")
	expired, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = apikey.Expiry{At: r.clock.Now().Add(time.Minute)} })
	r.clock.Advance(2 * time.Minute)
	add(expired, secret, "expired")
	suspended, secret := r.create(admin, "team-c", "project.list")
	require.NoError(t, r.SetSuspended(ctx, admin, "team-c", true))
	add(suspended, secret, "suspended")
	empty, secret := r.create(owner, "team-a", "project.list")
	_, err = r.Retire(ctx, owner, empty.ID, empty.Credentials[0].ID, 0)
	require.NoError(t, err)
	add(empty, secret, "unknown_or_wrong")

	for id, spec := range map[string]apikey.ImportSpec{
		"weak": {Secret: "hunter2"}, "crypted": {Digest: bcryptOf("correct horse")}, "ory": {Digest: ory256},
		"strong": {Secret: "kBvB5Uv0NDJYzzWxpQ1x8Zkq"},
	} {
		spec.ID, spec.Spec = id, apikey.Spec{Workspace: "team-d", Name: id}
		_, err := r.Import(ctx, admin, spec)
		require.NoError(t, err)
	}
	all = append(all, opened{"weak", "hunter2", ""}, opened{"crypted", "correct horse", ""},
		opened{"ory", "test", ""}, opened{"strong", "kBvB5Uv0NDJYzzWxpQ1x8Zkq", ""}, opened{"weak", "hunter3", "unknown_or_wrong"})
	return r, all
}

func (r *rig) check(all []opened) {
	r.t.Helper()
	for _, o := range all {
		before := len(r.reasons)
		_, err := r.login(o.id, o.secret)
		if o.refused == "" {
			require.NoError(r.t, err)
			continue
		}
		require.Error(r.t, err)
		require.Equal(r.t, o.refused, r.reasons[before])
	}
}

func TestRoundTrip(t *testing.T) {
	r, all := withAllKinds(t, memstore.New())
	r.check(all)
	lines := r.export()
	for _, o := range all {
		if strings.HasPrefix(o.secret, "lk_") {
			harness.SearchFor(t, lines, o.secret) // B11
		}
	}
	require.NotContains(t, lines, "hunter2")
	require.Equal(t, 1, strings.Count(lines, `"direct":true`), "B32 a restored key allows what it allowed")
	require.Equal(t, lines, r.export(), "the order is stable")

	there := newRig(t, portable)
	there.clock.Set(r.clock.Now())
	there.restore(lines)
	require.Equal(t, lines, there.export(), "nothing is lost")
	there.check(all)

	want, err := r.store.Keys.List(t.Context(), store.KeyQuery{})
	require.NoError(t, err)
	got, err := there.store.Keys.List(t.Context(), store.KeyQuery{})
	require.NoError(t, err)
	require.Equal(t, len(want.Keys), len(got.Keys))
	for i := range want.Keys {
		was, is := want.Keys[i], got.Keys[i]
		require.Equal(t, int64(1), is.Version)
		require.NotEqual(t, was.Epoch, is.Epoch)
		is.Epoch = was.Epoch
		was.Version, was.LastUsed, is.LastUsed = 1, time.Time{}, time.Time{}
		for n := range was.Credentials {
			was.Credentials[n].LastUsed, is.Credentials[n].LastUsed = time.Time{}, time.Time{}
		}
		require.Equal(t, fmt.Sprintf("%+v", was), fmt.Sprintf("%+v", is))
	}
}

func TestExportLine(t *testing.T) {
	r := newRig(t, portable)
	_, secret := r.create(owner, "team-a", "project.list", func(s *apikey.Spec) { s.Expiry = must(apikey.ParseExpiry("2027-01-31")) })
	text := r.export()
	require.NotContains(t, strings.ToLower(text), "epoch", "B30")
	whole := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(text), &whole))
	require.InDelta(t, 1, whole["format"], 0)
	require.NotContains(t, whole, "suspended")
	line := whole["key"].(map[string]any)
	require.Equal(t, []any{"project.list"}, line["permissions"])
	require.Equal(t, "2027-02-01T00:00:00Z", line["not_after"])
	require.Equal(t, "2027-01-31", line["not_after_text"])
	one := line["credentials"].([]any)[0].(map[string]any)
	require.Equal(t, secret.Hint(), one["hint"])
	require.Equal(t, true, one["generated"])
	require.Equal(t, "lk_", one["prefix"])
	require.Equal(t, map[string]any{"kind": "owner", "id": "olga"}, one["created_by"])
	require.NotContains(t, line, "version")
	require.NotContains(t, line, "suspended")
	require.NotContains(t, line, "direct", "false is left out")
}

func TestExportPages(t *testing.T) {
	r := newRig(t)
	const keys = store.MaxPage*2 + 3
	for range keys {
		_, _, err := r.Create(t.Context(), owner, apikey.Spec{Workspace: "team-a", Name: "ci"}) // no canary: there are too many
		require.NoError(t, err)
	}
	lines := strings.Split(strings.TrimSuffix(r.export(), "\n"), "\n")
	require.Len(t, lines, keys)
	seen := map[string]bool{}
	for _, line := range lines {
		var one struct{ Key struct{ ID string } }
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		seen[one.Key.ID] = true
	}
	require.Len(t, seen, keys)
	there := newRig(t)
	there.restore(strings.Join(lines, "\n") + "\n")
	require.Empty(t, newRig(t).export(), "no key, no line")
}

// failingWriter fails after a number of bytes.
type failingWriter struct{ free int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if len(p) > w.free {
		return 0, errors.New("disk full")
	}
	w.free -= len(p)
	return len(p), nil
}

func TestExportFails(t *testing.T) {
	t.Run("B11 actors that may not export", func(t *testing.T) {
		r := newRig(t)
		key, _ := r.create(admin, "team-a", "project.list keys.list admin.keys.list")
		for name, actor := range map[string]apikey.Actor{
			"nobody": {}, "owner": owner, "manager": manager, "key": apikey.ByKey(key.ID, perms("admin.keys.list keys.list"), ""),
		} {
			t.Run(name, func(t *testing.T) {
				var out bytes.Buffer
				require.ErrorAs(t, backup.Export(t.Context(), r.Service, actor, &out), new(*apikey.ForbiddenError))
				require.Zero(t, out.Len())
				done, err := backup.Restore(t.Context(), r.Service, actor, strings.NewReader("{}\n"))
				require.ErrorAs(t, err, new(*apikey.ForbiddenError))
				require.Zero(t, done)
			})
		}
		require.Empty(t, r.events(audit.Export))
	})
	t.Run("without its event there is no export", func(t *testing.T) {
		fail := func(context.Context, string) error { return errDown }
		r := rigOn(t, harness.Tapped(memstore.New(), fail, "Events.Append"))
		r.create(owner, "team-a", "project.list")
		var out bytes.Buffer
		require.ErrorIs(t, backup.Export(t.Context(), r.Service, admin, &out), store.ErrUnavailable)
		require.Zero(t, out.Len())
	})
	t.Run("a writer that fails", func(t *testing.T) {
		r := newRig(t)
		r.create(owner, "team-a", "project.list")
		require.ErrorContains(t, backup.Export(t.Context(), r.Service, admin, &failingWriter{10}), "disk full")
	})
	t.Run("its event", func(t *testing.T) {
		r := newRig(t)
		r.export()
		events := r.events(audit.Export)
		require.Len(t, events, 1)
		require.Equal(t, admin.Ref(), events[0].Actor)
	})
}

func TestAnOutageIsNoFaultOfALine(t *testing.T) {
	for _, also := range []error{store.ErrExists, store.ErrNotFound, &apikey.InvalidError{}} {
		fail := func(context.Context, string) error { return errors.Join(also, store.ErrUnavailable) }
		r := rigOn(t, harness.Tapped(memstore.New(), fail, "Keys.Create"))
		done, err := r.read(aLine("k"))
		require.ErrorIs(t, err, store.ErrUnavailable, "B19")
		require.Zero(t, done.Refused)
	}
}
