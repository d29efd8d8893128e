package console_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/store"
)

// TestLastDay: 9999-12-31 is accepted wherever a day can be chosen.
func TestLastDay(t *testing.T) {
	r := newRig(t)
	got := r.post("olga", newPage, r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "date", "expires_on", "9999-12-31"))
	require.Equal(t, http.StatusCreated, got.StatusCode, got.Body)
	page, err := r.keys.List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	require.Len(t, page.Keys, 1)
	require.Equal(t, time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), page.Keys[0].NotAfter.UTC())
	require.True(t, r.logsIn(page.Keys[0].ID, got.secret()))
	require.Contains(t, r.get("olga", "/keys/"+page.Keys[0].ID).Body, "31 Dec 9999")

	for _, path := range []string{"/workspaces/team-a/events?from=2026-01-01&to=9999-12-31", "/settings/events?to=9999-12-31"} {
		events := r.get("ada", path)
		require.Equal(t, http.StatusOK, events.StatusCode)
		require.Contains(t, events.Body, "olga", path)
		require.NotContains(t, events.Body, "Choose a day", path)
	}
	got = r.post("ada", "/settings", r.form("ada", "/settings", "keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "effect", "all", "enforced_at", "9999-12-31", "do", "save", "reminders", "off"))
	require.Equal(t, http.StatusSeeOther, got.StatusCode, got.Body)
	require.Equal(t, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), r.settings().Rules.EnforcedFrom)

	got = r.post("olga", newPage, r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "date", "expires_on", "10000-01-01"))
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
}

// TestDayKeepsItsHour: if a day is not changed in the form, it stays the instant that was
// set by the API.
func TestDayKeepsItsHour(t *testing.T) {
	r := newRig(t)
	settings := r.settings()
	settings.Rules.EnforcedFrom = noon.AddDate(0, 1, 0)
	_, err := r.keys.SaveSettings(t.Context(), people["ada"].Actor, settings)
	require.NoError(t, err)
	rules := []string{"keys", "on", "direct", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "unit", "days", "effect", "all", "do", "save"}
	r.post("ada", "/settings", r.form("ada", "/settings", append(rules, "enforced_at", "2026-08-01")...)).redirectTarget()
	require.Equal(t, noon.AddDate(0, 1, 0), r.settings().Rules.EnforcedFrom)
	r.post("ada", "/settings", r.form("ada", "/settings", append(rules, "enforced_at", "2026-08-02")...)).redirectTarget()
	require.Equal(t, noon.AddDate(0, 1, 1).Truncate(24*time.Hour), r.settings().Rules.EnforcedFrom)
}

// TestNoAddressIsLoggedOnce: rules by address do not work for requests without one.
func TestNoAddressIsLoggedOnce(t *testing.T) {
	var log strings.Builder
	r := newRig(t)
	pages, err := console.New(r.keys, console.Config{Authorize: authorize, Key: formKey, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	for i, remote := range []string{"192.0.2.7", "@", "", "@"} {
		form := r.form("olga", newPage, "name", "ci", "permissions", "project.list", "expires", "never")
		req := httptest.NewRequest(http.MethodPost, newPage, strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("X-Person", "olga")
		req.RemoteAddr = remote
		answer := httptest.NewRecorder()
		pages.ServeHTTP(answer, req)
		require.Equal(t, http.StatusCreated, answer.Code, answer.Body.String())
		require.Equal(t, min(i, 1), strings.Count(log.String(), "ClientAddr"), log.String())
	}
}
