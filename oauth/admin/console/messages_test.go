package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// TestFormsWhileKeysDoNotWork: while keys do not work, the forms to create and to rotate a
// key say so and cannot be sent. A form that was opened before keeps what was typed.
func TestFormsWhileKeysDoNotWork(t *testing.T) {
	active := true
	for name, tc := range map[string]struct {
		says string
		off  func(*rig, bool)
	}{
		"keys are off": {"API keys are switched off in this service", func(r *rig, off bool) {
			s := r.settings()
			s.KeysOff = off
			_, err := r.keys.SaveSettings(r.t.Context(), people["ada"].Actor, s)
			require.NoError(r.t, err)
		}},
		"the workspace is suspended": {"This workspace is suspended", func(r *rig, off bool) {
			require.NoError(r.t, r.keys.SetSuspended(r.t.Context(), people["ada"].Actor, "team-a", off))
		}},
		"the host suspended the workspace": {"This workspace is suspended", func(_ *rig, off bool) { active = !off }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
				keys.Workspaces = func(context.Context, string) (bool, error) { return active, nil }
			})
			key, _ := r.made("team-a", "ci", "project.list")
			create := r.form("olga", newPage, "name", "typed", "permissions", "project.list", "expires", "90d")
			tc.off(r, true)
			for _, path := range []string{newPage, "/keys/" + key.ID + "/rotate"} {
				got := r.open("olga", path)
				require.Equal(t, http.StatusOK, got.StatusCode)
				require.Contains(t, got.Body, tc.says, path)
				require.NotContains(t, got.Body, `<button class="main">`, path)
			}
			for _, path := range []string{"/workspaces/team-a/keys", "/keys/" + key.ID, "/keys/" + key.ID + "/change"} {
				require.Contains(t, r.get("olga", path).Body, tc.says, path)
			}
			require.NotContains(t, r.get("olga", "/keys/"+key.ID).Body, "Duplicate")
			require.NotContains(t, r.get("olga", "/workspaces/team-a/keys").Body, "keys/new")
			got := r.post("olga", newPage, create)
			require.Equal(t, http.StatusForbidden, got.StatusCode)
			require.Empty(t, got.secret())

			tc.off(r, false)
			for _, path := range []string{newPage, "/keys/" + key.ID + "/rotate"} {
				got := r.open("olga", path)
				require.NotContains(t, got.Body, tc.says)
				require.Contains(t, got.Body, `<button class="main">`)
			}
			require.Equal(t, http.StatusCreated, r.post("olga", newPage, create).StatusCode)
		})
	}
}

// TestSwitchingOffStopsAllAtOnce: the preview says that all keys end at once, also if the
// clock advances while it checks them.
func TestSwitchingOffStopsAllAtOnce(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		clock := harness.ClockAt(noon)
		keys.Now = func() time.Time {
			clock.Advance(time.Millisecond)
			return clock.Now()
		}
	})
	for range 3 {
		r.made("team-a", "ci", "project.list")
	}
	off := []string{"keys", "off", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "effect", "new", "do", "preview"}
	body := r.post("ada", "/settings", r.form("ada", "/settings", off...)).Body
	require.Contains(t, body, "<b>All keys stop at once.</b>")
	require.Contains(t, body, "End at once: 3 keys")
	require.NotContains(t, body, "End earlier than before")
	require.Contains(t, body, `<button class="risky" name="do" value="save">Save and stop all keys</button>`)

	// Without any key, too.
	empty := newRig(t)
	form := empty.form("ada", "/settings", off...)
	require.Contains(t, empty.post("ada", "/settings", form).Body, "Save and stop all keys")
	form.Set("do", "save")
	empty.post("ada", "/settings", form).redirectTarget()
	form = empty.form("ada", "/settings", off...)
	require.NotContains(t, empty.post("ada", "/settings", form).Body, "stop all keys", "keys are off already")
}

// TestLastUseAndCountsAgree: a page does not say that a key was never used if Flush has
// written only the last use or only the count.
func TestLastUseAndCountsAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		failing   string
		says, not []string
	}{
		"counts are not written": {"Usage.Add", []string{"The last use is not counted yet."}, []string{"This key was not used"}},
		"uses are not written":   {"Upkeep.RecordUses", []string{"1 login or direct use, 0 refusals", "Not recorded yet"}, []string{"not counted yet"}},
		"all is written":         {"", []string{"1 login or direct use, 0 refusals"}, []string{"not counted yet", "Not recorded yet", "This key was not used"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(st *store.Store, _ *apikey.Config, _ *console.Config) {
				*st = harness.Tapped(*st, func(_ context.Context, call string) error {
					if call == tc.failing {
						return store.ErrUnavailable
					}
					return nil
				})
			})
			key, secret := r.made("team-a", "ci", "project.list")
			r.login(key.ID, secret)
			require.Equal(t, tc.failing != "", r.keys.Flush(t.Context()) != nil)
			body := r.get("olga", "/keys/"+key.ID).Body
			for _, text := range tc.says {
				require.Contains(t, body, text)
			}
			for _, text := range tc.not {
				require.NotContains(t, body, text)
			}
		})
	}
}

// TestSpansAreRounded: distances in time are rounded to whole units.
func TestSpansAreRounded(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		away time.Duration
		want string
	}{
		{10 * time.Second, "in less than a minute"}, {40 * time.Second, "in 1 minute"}, {59*time.Minute + 40*time.Second, "in 1 hour"},
		{24*time.Hour - time.Second, "in 24 hours"}, {24 * time.Hour, "in 24 hours"}, {2*day - time.Second, "in 2 days"}, {7*day - time.Hour, "in 7 days"},
		{30*day - time.Minute, "in 30 days"}, {60*day - time.Second, "in 2 months"}, {89 * day, "in 3 months"}, {90*day - time.Second, "in 3 months"}, {90 * day, "in 3 months"},
		{365*day - time.Second, "in 12 months"}, {730*day - time.Second, "in 2 years"}, {1000 * day, "in 3 years"},
		{-10 * time.Second, "just now"}, {-time.Hour + time.Second, "1 hour ago"}, {-2*day + time.Second, "2 days ago"}, {-90*day + time.Second, "3 months ago"},
	} {
		require.Equal(t, tc.want, console.Distance(tc.away), tc.away)
	}
}

// TestPagesNameNoAPIFields: no message names what only programs send.
func TestPagesNameNoAPIFields(t *testing.T) {
	r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
		keys.DefaultRules = store.Rules{MaxLifetime: 30 * 24 * time.Hour}
	})
	form := r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "date", "expires_on", "2026-12-31")
	got := r.post("olga", newPage, form)
	require.Contains(t, got.Body, "the latest allowed is 2026-07-31, 12:00 UTC")
	require.NotContains(t, got.Body, "T12:00:00Z,")
	rules := r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "effect", "new", "max_lifetime", "30s", "do", "save")
	got = r.post("ada", "/settings", rules)
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
	require.Contains(t, got.Body, "at least 1m")
	require.False(t, strings.Contains(got.Body, "It must be 0"), "nobody types a 0")
}
