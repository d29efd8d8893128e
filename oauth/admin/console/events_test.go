package console_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// texts returns the texts of the rows of a page's table.
func (p *page) texts() (rows []string) {
	_, table, _ := strings.Cut(p.Body, "<tbody>")
	table, _, _ = strings.Cut(table, "</tbody>")
	for _, row := range strings.Split(table, "<tr>")[1:] {
		rows = append(rows, strings.TrimSpace(spaces.ReplaceAllString(tags.ReplaceAllString(row, " "), " ")))
	}
	return rows
}

// TestEventsTellNamesValuesAndAddresses tests the texts of the event log, for
// changes made on the pages.
func TestEventsTellNamesValuesAndAddresses(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	r.clock.Advance(time.Minute)
	form := r.form("olga", "/keys/"+key.ID+"/change")
	form["name"], form["permissions"], form["expires"], form["expires_on"] = []string{"nightly"}, []string{"project.save"}, []string{"date"}, []string{"2027-01-31"}
	require.Equal(t, http.StatusSeeOther, r.post("olga", "/keys/"+key.ID+"/change", form).StatusCode)
	_, other := r.made("team-b", "other", "project.list")
	_, err := r.keys.Authenticate(t.Context(), apikey.Credentials{ID: key.ID, Secret: other, Address: netip.MustParseAddr("203.0.113.9")})
	require.Error(t, err)
	require.NoError(t, r.keys.Flush(t.Context()))
	r.clock.Advance(time.Minute)
	ada := people["ada"].Actor
	_, err = r.keys.SaveSettings(t.Context(), ada, store.InstanceSettings{
		Instance:  store.Instance{KeysOff: true, Rules: store.Rules{MaxKeys: 7, MaxLifetime: 90 * 24 * time.Hour, EnforcedFrom: noon}},
		Reminders: store.Reminders{Before: []time.Duration{48 * time.Hour, time.Hour}},
	})
	require.NoError(t, err)
	r.clock.Advance(time.Minute)
	_, err = r.keys.SaveWorkspace(t.Context(), ada, store.Workspace{ID: "team-a", Rules: store.Rules{MaxKeys: store.Unlimited}})
	require.NoError(t, err)

	log := strings.Join(r.get("ada", "/settings/events").texts(), "\n")
	for _, text := range []string{
		"olga from 127.0.0.1 Changed the key name: ci → nightly permissions: project.list → project.save expiry: none → 2027-01-31 nightly",
		"an unknown client from 203.0.113.9 Login refused wrong secret nightly",
		"Changed the settings limit of keys: none → 7 maximum lifetime: none → 90d day from which the rules apply to all keys: none → 2026-07-01T12:00:00Z keys on or off: true → false times of reminders: none → 2d 1h0m0s Every workspace",
		"Changed the workspace&#39;s rules limit of keys: none → unlimited The workspace in team-a",
		"Created the key name: none → ci permissions: none → project.list secrets: none → " + key.Credentials[0].ID,
	} {
		require.Contains(t, log, text)
	}

	// A person's name is that at the time of the event.
	at := "/keys/" + key.ID + "/disable"
	require.Equal(t, http.StatusSeeOther, r.post("ada", at, r.form("ada", at)).StatusCode)
	require.Contains(t, strings.Join(r.get("ada", "/settings/events").texts(), "\n"), "Ada ada from 127.0.0.1 Disabled the key disabled: false → true")
}

// download returns the rows of a CSV.
func (r *rig) download(person, path string) [][]string {
	r.t.Helper()
	got := r.get(person, path)
	require.Equal(r.t, http.StatusOK, got.StatusCode, got.Body)
	require.Equal(r.t, "text/csv; charset=utf-8; header=present", got.Header.Get("Content-Type"))
	require.Equal(r.t, `attachment; filename="events.csv"`, got.Header.Get("Content-Disposition"))
	require.Equal(r.t, "no-store", got.Header.Get("Cache-Control"))
	require.Equal(r.t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	reader := csv.NewReader(strings.NewReader(got.Body))
	reader.FieldsPerRecord = -1
	rows, err := reader.ReadAll()
	require.NoError(r.t, err)
	return rows
}

func TestDownloadOfEvents(t *testing.T) {
	r := newRig(t)
	key, _ := r.made("team-a", "ci", "project.list")
	r.made("team-b", "other", "project.list")
	r.clock.Advance(24 * time.Hour)
	name := "nightly"
	olga := people["olga"].Actor
	olga.Name, olga.Address = "Olga", netip.MustParseAddr("192.0.2.7")
	_, err := r.keys.Update(t.Context(), olga, key.ID, apikey.Changes{Name: &name})
	require.NoError(t, err)

	rows := r.download("olga", "/workspaces/team-a/events.csv")
	require.Equal(t, [][]string{
		{"time", "action", "actor_kind", "actor_id", "actor_name", "address", "workspace", "key_id", "key_name", "changes", "note"},
		{"2026-07-02T12:00:00Z", "key.update", "owner", "olga", "Olga", "192.0.2.7", "team-a", key.ID, "nightly", "name: ci → nightly", ""},
	}, rows[:2])
	require.Len(t, rows, 3)
	require.Len(t, r.download("ada", "/settings/events.csv"), 4)
	require.Len(t, r.download("ada", "/settings/events.csv?action=key.update"), 2)
	require.Len(t, r.download("ada", "/settings/events.csv?to=2026-07-01"), 3)
	require.Len(t, r.download("ada", "/settings/events.csv?actor=nobody"), 1, "the header only")

	t.Run("the page links to it with its filter, and without its cursor", func(t *testing.T) {
		body := r.get("ada", "/settings/events?action=key.create&cursor=x").Body
		require.Contains(t, body, `<a href="events.csv?action=key.create">Download as CSV</a>`)
		require.Contains(t, r.get("olga", "/workspaces/team-a/events").Body, `<a href="events.csv?">`)
	})
	t.Run("a wrong filter is shown as on the page", func(t *testing.T) {
		got := r.get("ada", "/settings/events.csv?from=yesterday")
		require.Contains(t, got.Body, "Choose a day")
		require.Contains(t, got.Header.Get("Content-Type"), "text/html")
	})
	for person, status := range map[string]int{"bert": http.StatusNotFound, "guest": http.StatusNotFound, "nobody": http.StatusUnauthorized} {
		t.Run("B20 "+person+" sees nothing", func(t *testing.T) {
			got := r.get(person, "/workspaces/team-a/events.csv")
			require.Equal(t, status, got.StatusCode)
			require.NotContains(t, got.Body, key.ID)
			require.Empty(t, got.Header.Get("Content-Disposition"))
		})
	}
	for _, person := range []string{"olga", "max", "bert"} {
		require.Equal(t, http.StatusForbidden, r.get(person, "/settings/events.csv").StatusCode, person)
	}
}

// TestNoFormulaInADownload tests that a spreadsheet takes no cell for a formula
// (OWASP, "CSV Injection"), and that no text can begin a cell or a row.
func TestNoFormulaInADownload(t *testing.T) {
	r := newRig(t)
	starts := []string{"=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"}
	for i, start := range starts {
		evil := start + `cmd|' /C calc'!A0`
		require.NoError(t, r.store.Events.Append(t.Context(), store.Event{
			ID: fmt.Sprint("event-", i), Time: noon, Action: evil, Actor: store.ActorRef{Kind: evil, ID: evil}, ActorName: evil, Address: evil,
			Workspace: evil, Key: evil, KeyName: evil, Note: evil, Changes: []store.FieldChange{{Field: evil, Old: evil, New: evil + "\",\n=1+1"}},
		}))
	}
	rows := r.download("ada", "/settings/events.csv")
	require.Len(t, rows, 1+len(starts))
	for _, row := range rows {
		require.Len(t, row, 11)
		for _, cell := range row {
			require.False(t, slices.ContainsFunc(starts, func(start string) bool { return strings.HasPrefix(cell, start) }), "%q", cell)
		}
	}
	require.Equal(t, `'=cmd|' /C calc'!A0`, rows[len(rows)-1][4])
	// A spreadsheet whose list separator is a semicolon ends a cell at each, unless the cell
	// begins with a quote.
	for _, name := range []string{"x;=1+1;", "x; =1+1", "x|;;@SUM(1)"} {
		r.made("semicolons", name, "project.list")
	}
	for _, line := range strings.Split(r.get("ada", "/workspaces/semicolons/events.csv").Body, "\n") {
		for _, cell := range strings.Split(line, ";") {
			require.NotRegexp(t, `^\s*[=+@-]`, cell)
		}
	}
	for _, name := range hostile {
		r.made(name, name, "project.list")
	}
	for _, row := range r.download("ada", "/settings/events.csv?action=key.create") {
		require.Len(t, row, 11)
		require.False(t, strings.HasPrefix(row[8], "="), "%q", row[8])
	}
}

// TestDownloadsAreBounded tests that a log of any size is cut, and says so.
func TestDownloadsAreBounded(t *testing.T) {
	const last = "Older events are left out. Choose an earlier day for To."
	fill := func(r *rig, n int, e store.Event) {
		events := make([]store.Event, n)
		for i := range events {
			e.ID, e.Time, e.Action = fmt.Sprintf("event-%06d", i), noon.Add(time.Duration(i)*time.Second), "key.update"
			events[i] = e
		}
		require.NoError(t, r.store.Events.Append(t.Context(), events...))
	}
	t.Run("large ones", func(t *testing.T) {
		r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) { c.Timeout = 5 * time.Minute }) // other work shares the machine
		fill(r, 4000, store.Event{Changes: []store.FieldChange{{Field: "name", Old: strings.Repeat("x", 4000)}}})
		rows := r.download("ada", "/settings/events.csv")
		require.Len(t, rows, 1+3000+1, "whole pages up to 8 MiB")
		require.Equal(t, []string{last}, rows[3001])
		require.Equal(t, "2026-07-01T13:06:39Z", rows[1][0], "the newest first")
	})
	t.Run("a store that fails answers with an error and no file", func(t *testing.T) {
		st, tapped := harness.NewTap()
		r := newRig(t, func(s *store.Store, _ *apikey.Config, _ *console.Config) { *s = st })
		tapped.Before(func(context.Context, string) error { return store.ErrUnavailable })
		got := r.get("ada", "/settings/events.csv")
		require.Equal(t, http.StatusServiceUnavailable, got.StatusCode)
		require.Empty(t, got.Header.Get("Content-Disposition"))
	})
}

// TestNameText: the reason for which an assertion was refused keeps the names of claims.
func TestNameText(t *testing.T) {
	for name, want := range map[string]string{
		"unknown_or_wrong": "wrong secret", "keys_off": "keys off", "assertion": "assertion",
		"assertion: its repository_id is not the one": "assertion: its repository_id is not the one",
	} {
		require.Equal(t, want, console.NameText(name))
	}
}
