package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/store"
)

type rules struct {
	MaxKeys       *int       `json:"max_keys"`
	RequireExpiry bool       `json:"require_expiry"`
	MaxLifetime   *int64     `json:"max_lifetime"`
	EnforcedFrom  *time.Time `json:"enforced_at"`

	KeyRequests       *int `json:"key_requests"`
	WorkspaceRequests *int `json:"workspace_requests"`
}

type settings struct {
	KeysEnabled   bool `json:"keys_enabled"`
	DirectEnabled bool `json:"direct_enabled"`
	rules
	RemindersEnabled bool       `json:"reminders_enabled"`
	RemindBefore     []int64    `json:"remind_before"`
	Reminders        reminders  `json:"reminders"`
	UpdatedAt        *time.Time `json:"updated_at"`
	Version          int64      `json:"version"`
}

type reminders struct {
	Sent   bool    `json:"sent"`
	Before []int64 `json:"before"`
}

// fresh are settings that were never saved, of a host that sends no reminders.
var fresh = settings{KeysEnabled: true, DirectEnabled: true, RemindersEnabled: true, Reminders: reminders{Before: []int64{}}}

type workspace struct {
	Workspace     string `json:"workspace"`
	Suspended     bool   `json:"suspended"`
	Keys          int    `json:"keys"`
	UnlimitedKeys bool   `json:"unlimited_keys"`

	UnlimitedKeyRequests       bool `json:"unlimited_key_requests"`
	UnlimitedWorkspaceRequests bool `json:"unlimited_workspace_requests"`
	rules
	InForce   rules      `json:"in_force"`
	UpdatedAt *time.Time `json:"updated_at"`
	Version   int64      `json:"version"`
}

func TestSettings(t *testing.T) {
	r := newRig(t)
	r.create("olga", "team-a", "ci")
	var got settings
	r.do("ada", "GET", "/settings", "").Wants(http.StatusOK).Into(&got)
	require.Equal(t, fresh, got, "fresh settings: keys on, no limit, no forced expiry")

	r.do("ada", "PUT", "/settings", `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":2,"require_expiry":true,"max_lifetime":86400,"enforced_at":"2026-08-01"}`, "If-Match", `"0"`).Wants(http.StatusOK).Into(&got)
	august := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	require.Equal(t, rules{MaxKeys: new(2), RequireExpiry: true, MaxLifetime: new(int64(86400)), EnforcedFrom: &august}, got.rules)
	require.Equal(t, noon, *got.UpdatedAt)

	var own workspace
	r.do("ada", "PUT", "/workspaces/team-a/settings", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":true,"require_expiry":false,"max_lifetime":3600,"enforced_at":"2026-07-15T12:00:00+02:00"}`, "If-Match", `"0"`).Wants(http.StatusOK).Into(&own)
	july := time.Date(2026, 7, 15, 10, 0, 0, 0, time.UTC)
	require.Equal(t, rules{MaxLifetime: new(int64(3600)), EnforcedFrom: &july}, own.rules)
	require.True(t, own.UnlimitedKeys)
	require.Equal(t, rules{RequireExpiry: true, MaxLifetime: new(int64(3600)), EnforcedFrom: &july}, own.InForce, "of two the stricter")
	require.Equal(t, 1, own.Keys)
	for name, body := range map[string]string{
		"a limit and none":   `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":1,"unlimited_keys":true,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`,
		"a limit below zero": `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":-1,"unlimited_keys":false,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`,
		"neither, left out":  `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			r.at(t).do("ada", "PUT", "/workspaces/team-a/settings", body, "If-Match", "*").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		})
	}
	r.do("olga", "GET", "/workspaces/team-a/settings", "").Wants(http.StatusOK).Into(&own)
	r.do("olga", "PUT", "/workspaces/team-a/settings", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":1,"unlimited_keys":false,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`, "If-Match", `*`).problem(http.StatusForbidden, admin.CodeForbidden)
	p := r.do("olga", "POST", createA, newKey).problem(http.StatusForbidden, admin.CodePolicy)
	require.Equal(t, "settings.max_lifetime", p.Rule)

	for name, body := range map[string]string{
		"nothing":               `{}`,
		"keys_enabled left out": `{"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`,
		"a rule left out":       `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":2,"require_expiry":true,"max_lifetime":86400}`,
		"a limit below zero":    `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":-1,"require_expiry":true,"max_lifetime":86400,"enforced_at":null}`,
		"a limit too large":     `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":4294967296,"require_expiry":true,"max_lifetime":86400,"enforced_at":null}`,
		"zero for no limit":     `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":0,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`,
		"zero for no bound":     `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":0,"enforced_at":null}`,
		"half a minute":         `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":30,"enforced_at":null}`,
		"three hundred years":   `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":9467280000,"enforced_at":null}`,
		"text for a flag":       `{"keys_enabled":"false","reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`,
		"null for a flag":       `{"keys_enabled":null,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`,
		"a date that is none":   `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":"soon"}`,
		"a date that is empty":  `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":""}`,
	} {
		t.Run(name, func(t *testing.T) {
			r.at(t).do("ada", "PUT", "/settings", body, "If-Match", "*").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			r.at(t).do("ada", "POST", "/settings/preview", body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		})
	}
}

const reminding = `{"keys_enabled":true,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":false,"max_lifetime":null,"enforced_at":null,"reminders_enabled":%t,"remind_before":%s}`

func TestReminderSettings(t *testing.T) {
	r := newRig(t, func(s *setup) {
		s.keys.RemindBefore = []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour}
	})
	put := func(off bool, before string) (got settings) {
		t.Helper()
		r.do("ada", "PUT", "/settings", fmt.Sprintf(reminding, !off, before), "If-Match", "*").Wants(http.StatusOK).Into(&got)
		return got
	}
	var got settings
	r.do("ada", "GET", "/settings", "").Wants(http.StatusOK).Into(&got)
	require.Nil(t, got.RemindBefore)
	require.Equal(t, reminders{true, []int64{2592000, 604800, 86400}}, got.Reminders, "the host's own")
	got = put(false, `[3600,31622400]`)
	require.Equal(t, []int64{31622400, 3600}, got.RemindBefore)
	require.Equal(t, reminders{true, []int64{31622400, 3600}}, got.Reminders)
	got = put(true, `[31622400,3600]`)
	require.False(t, got.RemindersEnabled)
	require.Equal(t, []int64{31622400, 3600}, got.RemindBefore, "for when they are on again")
	require.Equal(t, reminders{true, []int64{}}, got.Reminders)
	got = put(true, `null`)
	require.Nil(t, got.RemindBefore)

	t.Run("a host that sends no reminders", func(t *testing.T) {
		var got settings
		newRig(t).do("ada", "PUT", "/settings", fmt.Sprintf(reminding, true, "[3600]"), "If-Match", `"0"`).Wants(http.StatusOK).Into(&got)
		require.Equal(t, []int64{3600}, got.RemindBefore, "kept for a host that does")
		require.Equal(t, reminders{false, []int64{}}, got.Reminders)
	})
	for name, before := range map[string]string{
		"none":             `[]`,
		"nine":             `[3600,7200,10800,14400,18000,21600,25200,28800,32400]`,
		"too short":        `[86400,3599]`,
		"too long":         `[31622401]`,
		"twice":            `[86400,86400]`,
		"zero":             `[0]`,
		"below zero":       `[-86400]`,
		"an hour, wrapped": `[36028797018967568]`, // 2^55 + 3600 seconds overflow a Duration to one hour
		"in parts":         `[86400.5]`,
		"as text":          `["86400"]`,
		"null within":      `[86400,null]`,
		"a number":         `86400`,
		"a text":           `"86400"`,
		"an object":        `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := r.at(t)
			for _, answer := range []*reply{
				r.do("ada", "PUT", "/settings", fmt.Sprintf(reminding, true, before), "If-Match", "*"),
				r.do("ada", "POST", "/settings/preview", fmt.Sprintf(reminding, true, before)),
			} {
				p := answer.problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
				require.Len(t, p.Errors, 1)
				require.Equal(t, "remind_before", p.Errors[0].Field)
			}
		})
	}
	for member, body := range map[string]string{
		"reminders_enabled": `{"keys_enabled":true,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":false,"max_lifetime":null,"enforced_at":null,"remind_before":null}`,
		"remind_before":     `{"keys_enabled":true,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":false,"max_lifetime":null,"enforced_at":null,"reminders_enabled":true}`,
	} {
		t.Run(member+" left out", func(t *testing.T) {
			p := r.at(t).do("ada", "PUT", "/settings", body, "If-Match", "*").problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.Len(t, p.Errors, 1)
			require.Equal(t, member, p.Errors[0].Field)
		})
	}
	t.Run("the member reminders is read-only", func(t *testing.T) {
		body := strings.TrimSuffix(fmt.Sprintf(reminding, true, "null"), "}") + `,"reminders":{"sent":true,"before":[]}}`
		r.at(t).do("ada", "PUT", "/settings", body, "If-Match", "*").problem(http.StatusBadRequest, admin.CodeMalformed)
	})
}

func TestSuspend(t *testing.T) {
	r := newRig(t)
	m, other := r.create("olga", "team-a", "ci"), r.create("bert", "team-b", "ci")
	var got workspace
	for range 2 {
		r.do("ada", "POST", "/workspaces/team-a/suspend", "").Wants(http.StatusOK).Into(&got)
		require.True(t, got.Suspended)
	}
	require.Error(t, r.login(m.Key.ID, m.Secret))
	require.NoError(t, r.login(other.Key.ID, other.Secret))
	r.do("olga", "POST", "/workspaces/team-a/resume", "").problem(http.StatusForbidden, admin.CodeForbidden)
	r.do("ada", "POST", "/workspaces/team-a/resume", "{}").Wants(http.StatusOK).Into(&got)
	require.False(t, got.Suspended)
	require.NoError(t, r.login(m.Key.ID, m.Secret))
}

// TestRevokeTokens: every earlier token is revoked, settings are kept, and keys can log
// in.
func TestRevokeTokens(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	before := r.epochs("team-a", m.Key.ID)
	for actor, problem := range map[string]string{"olga": admin.CodeForbidden, "guest": admin.CodeForbidden} {
		r.do(actor, "POST", "/settings/revoke_tokens", "").problem(http.StatusForbidden, problem)
	}
	r.do("ada", "POST", "/settings/revoke_tokens", `{"keys_enabled":false}`).problem(http.StatusBadRequest, admin.CodeMalformed)
	require.Equal(t, before, r.epochs("team-a", m.Key.ID))
	var got settings
	r.do("ada", "POST", "/settings/revoke_tokens", "").Wants(http.StatusOK).Into(&got)
	require.True(t, got.KeysEnabled)
	require.Equal(t, fresh.rules, got.rules)
	first := r.epochs("team-a", m.Key.ID)
	require.Greater(t, first.Instance, before.Instance, "B30")
	r.do("ada", "POST", "/settings/revoke_tokens", "{}").Wants(http.StatusOK)
	require.Greater(t, r.epochs("team-a", m.Key.ID).Instance, first.Instance, "B30 each time")
	require.NoError(t, r.login(m.Key.ID, m.Secret))
	require.Contains(t, r.do("ada", "GET", "/events", "").Wants(http.StatusOK).Body, `"settings.revoke_tokens"`)
}

// epochs returns the epochs that tokens of a key are compared with.
func (r *rig) epochs(workspace, key string) store.EpochState {
	r.t.Helper()
	state, err := r.store.Epochs.Read(r.t.Context(), store.TokenRef{Workspace: workspace, Key: key})
	require.NoError(r.t, err)
	return state
}

type effects struct {
	Effects []struct {
		Key     key        `json:"key"`
		EndsNow *time.Time `json:"ends_at"`
		Ends    *time.Time `json:"new_ends_at"`
	} `json:"effects"`
	Looked int     `json:"checked"`
	Next   *string `json:"next"`
}

// TestPreview previews a change of settings, and then makes it. The change ends exactly
// the keys of the preview, each at the instant of the preview.
func TestPreview(t *testing.T) {
	r := newRig(t)
	all := map[string]made{}
	for name, expiry := range map[string]string{"never": "null", "long": `"2027-06-30"`, "short": `"2026-07-20T12:00:00Z"`} {
		all[name] = r.createWith("olga", "team-a", `{"name":"`+name+`","permissions":[],"expires_at":`+expiry+`}`)
		all["b "+name] = r.createWith("bert", "team-b", `{"name":"b `+name+`","permissions":[],"expires_at":`+expiry+`}`)
	}
	// From 10 July on, the maximum lifetime is 30 days.
	const change = `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":1,"require_expiry":true,"max_lifetime":2592000,"enforced_at":"2026-07-10"}`
	foretold := map[string]time.Time{}
	looked, cursor := 0, ""
	for {
		var page effects
		r.do("ada", "POST", "/settings/preview?limit=2"+cursor, change).Wants(http.StatusOK).Into(&page)
		looked += page.Looked
		for _, effect := range page.Effects {
			foretold[effect.Key.Name] = *effect.Ends
			require.Equal(t, effect.Key.ExpiresAt, effect.EndsNow)
		}
		if page.Next == nil {
			break
		}
		cursor = "&cursor=" + *page.Next
	}
	require.Equal(t, 6, looked)
	end := noon.Add(30 * 24 * time.Hour)
	require.Equal(t, map[string]time.Time{"never": end, "long": end, "b never": end, "b long": end}, foretold)
	var untouched settings
	r.do("ada", "GET", "/settings", "").Wants(http.StatusOK).Into(&untouched)
	require.Equal(t, fresh, untouched, "a preview writes nothing")

	r.do("ada", "PUT", "/settings", change, "If-Match", `"0"`).Wants(http.StatusOK)
	logsIn := func(name string) bool { return r.login(all[name].Key.ID, all[name].Secret) == nil }
	r.clock.Advance(30*24*time.Hour - time.Second)
	for name, m := range all {
		_, touched := foretold[name]
		require.Equal(t, touched, logsIn(name), "%s, a second before; it ends %v", name, m.Key.ExpiresAt)
	}
	r.clock.Advance(time.Second)
	for name := range all {
		require.False(t, logsIn(name), name)
	}

	t.Run("of one workspace", func(t *testing.T) {
		r := newRig(t)
		r.create("olga", "team-a", "never")
		r.create("bert", "team-b", "b never")
		var page effects
		r.do("ada", "POST", "/workspaces/team-a/settings/preview", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":false,"require_expiry":true,"max_lifetime":null,"enforced_at":"2026-07-10"}`).Wants(http.StatusOK).Into(&page)
		require.Len(t, page.Effects, 1)
		require.Equal(t, "never", page.Effects[0].Key.Name)
		require.Equal(t, time.Date(2026, 7, 10, 0, 0, 0, 0, time.UTC), *page.Effects[0].Ends)
		r.do("ada", "POST", "/workspaces/team-a/settings/preview", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":-2,"unlimited_keys":false,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		r.do("olga", "POST", "/workspaces/team-a/settings/preview", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":false,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`).problem(http.StatusForbidden, admin.CodeForbidden)
	})
	t.Run("for new keys only", func(t *testing.T) {
		r := newRig(t)
		r.create("olga", "team-a", "never")
		var page effects
		r.do("ada", "POST", "/settings/preview", `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":1,"require_expiry":true,"max_lifetime":60,"enforced_at":null}`).Wants(http.StatusOK).Into(&page)
		require.Empty(t, page.Effects)
		require.Equal(t, 1, page.Looked)
	})
	t.Run("keys off", func(t *testing.T) {
		r := newRig(t)
		r.create("olga", "team-a", "never")
		r.createWith("olga", "team-a", `{"name":"over","permissions":[],"expires_at":"2026-07-01T12:00:30Z"}`)
		r.clock.Advance(time.Minute)
		var page effects
		r.do("ada", "POST", "/settings/preview", `{"keys_enabled":false,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":false,"max_lifetime":null,"enforced_at":null}`).Wants(http.StatusOK).Into(&page)
		require.Len(t, page.Effects, 1, "what has expired does not end again")
		require.Equal(t, noon.Add(time.Minute), *page.Effects[0].Ends)
	})
}

func TestViolations(t *testing.T) {
	r := newRig(t)
	r.create("olga", "team-a", "never")
	r.createWith("olga", "team-a", `{"name":"long","permissions":[],"expires_at":"2027-06-30"}`)
	r.createWith("olga", "team-a", `{"name":"fine","permissions":[],"expires_at":"2026-07-20"}`)
	r.create("bert", "team-b", "b never")
	type page struct {
		Violations []struct {
			Key   key      `json:"key"`
			Rules []string `json:"rules"`
		} `json:"violations"`
		Next *string `json:"next"`
	}
	find := func(actor, path string) map[string][]string {
		found, cursor := map[string][]string{}, ""
		for {
			var p page
			r.do(actor, "GET", path+"?limit=1"+cursor, "").Wants(http.StatusOK).Into(&p)
			for _, v := range p.Violations {
				found[v.Key.Name] = v.Rules
			}
			if p.Next == nil {
				return found
			}
			cursor = "&cursor=" + *p.Next
		}
	}
	require.Empty(t, find("ada", "/violations"))
	r.do("ada", "PUT", "/settings", `{"keys_enabled":true,"reminders_enabled":true,"remind_before":null,"direct_enabled":true,"key_requests":null,"workspace_requests":null,"max_keys":null,"require_expiry":true,"max_lifetime":null,"enforced_at":null}`, "If-Match", `"0"`).Wants(http.StatusOK)
	require.Equal(t, map[string][]string{"never": {"require_expiry"}, "b never": {"require_expiry"}}, find("ada", "/violations"))
	r.do("ada", "PUT", "/workspaces/team-a/settings", `{"key_requests":null,"unlimited_key_requests":false,"workspace_requests":null,"unlimited_workspace_requests":false,"max_keys":null,"unlimited_keys":false,"require_expiry":false,"max_lifetime":2592000,"enforced_at":null}`, "If-Match", `"0"`).Wants(http.StatusOK)
	require.Equal(t, map[string][]string{"never": {"require_expiry", "max_lifetime"}, "long": {"max_lifetime"}}, find("olga", "/workspaces/team-a/violations"))
	require.Len(t, find("ada", "/violations"), 3)
}

// TestDeletedWorkspace: a deleted workspace is not found, but its events are kept.
func TestDeletedWorkspace(t *testing.T) {
	r := newRig(t)
	m := r.create("olga", "team-a", "ci")
	require.NoError(t, r.keys.DeleteWorkspace(t.Context(), people["ada"], "team-a"))
	before := r.snapshot("team-a")
	for _, entry := range admin.Table() {
		if !strings.Contains(entry.Pattern, "{workspace}") || strings.HasSuffix(entry.Pattern, "/permissions") {
			continue
		}
		t.Run(entry.Method+" "+entry.Pattern, func(t *testing.T) {
			r := r.at(t)
			for _, actor := range []string{"ada", "olga"} {
				got := r.do(actor, entry.Method, fill(entry.Pattern, "team-a", m.Key.ID, "x"), bodyOf(t, entry), "If-Match", "*")
				if list := entry.Method == "GET" && !strings.HasSuffix(entry.Pattern, "/settings"); list {
					got.Wants(http.StatusOK)
				} else {
					got.problem(http.StatusNotFound, admin.CodeNotFound)
				}
			}
		})
	}
	require.Equal(t, before, r.snapshot("team-a"))
}
