package admin_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
)

// TestDirect: a key allows direct use if a request says so, and not while the settings
// forbid it.
func TestDirect(t *testing.T) {
	r := newRig(t)
	plain := r.create("olga", "team-a", "plain").Key
	require.False(t, plain.Direct, "B32 the default")
	direct := r.createWith("olga", "team-a", `{"name":"hook","permissions":["project.list"],"direct":true}`).Key
	require.True(t, direct.Direct)
	require.True(t, r.read("olga", direct.ID).Direct)
	r.do("olga", "PATCH", "/keys/"+direct.ID, `{"name":"webhook"}`).Wants(http.StatusOK)
	require.True(t, r.read("olga", direct.ID).Direct, "left out: not changed")
	var rotated made
	r.do("olga", "POST", "/keys/"+plain.ID+"/rotate", `{"grace":0,"direct":true}`).Wants(http.StatusOK).Into(&rotated)
	require.True(t, rotated.Key.Direct)
	r.do("olga", "PATCH", "/keys/"+plain.ID, `{"direct":false}`).Wants(http.StatusOK).Into(&plain)
	require.False(t, plain.Direct)
	require.Contains(t, r.do("olga", "GET", "/workspaces/team-a/events", "").Body, `{"field":"direct","new":"false","old":"true"}`)
	for name, body := range map[string]string{"null": `{"direct":null}`, "a text": `{"direct":"true"}`, "a number": `{"direct":1}`} {
		t.Run(name, func(t *testing.T) {
			p := r.at(t).do("olga", "PATCH", "/keys/"+plain.ID, body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.Equal(t, []admin.FieldError{{Field: "direct", Reason: "It must be true or false."}}, p.Errors)
		})
	}

	r.replace("/settings", map[string]any{"direct_enabled": false})
	for name, c := range map[string]struct{ method, path, body string }{
		"a new key": {"POST", createA, `{"name":"x","permissions":[],"direct":true}`},
		"a change":  {"PATCH", "/keys/" + plain.ID, `{"direct":true}`},
		"rotation":  {"POST", "/keys/" + plain.ID + "/rotate", `{"grace":0,"direct":true}`},
	} {
		t.Run("B32 forbidden by the settings: "+name, func(t *testing.T) {
			p := r.at(t).do("olga", c.method, c.path, c.body).problem(http.StatusForbidden, admin.CodePolicy)
			require.Equal(t, "settings.direct", p.Rule)
		})
	}
	require.True(t, r.read("olga", direct.ID).Direct, "the key keeps it")
}

// replace reads settings, changes some members and puts the result back.
func (r *rig) replace(path string, changed map[string]any) map[string]any {
	r.t.Helper()
	var got map[string]any
	read := r.do("ada", "GET", path, "").Wants(http.StatusOK)
	require.NoError(r.t, json.Unmarshal([]byte(read.Body), &got))
	for _, name := range []string{"reminders", "updated_at", "version", "workspace", "suspended", "keys", "in_force"} { // read-only
		delete(got, name)
	}
	for name, value := range changed {
		got[name] = value
	}
	body, err := json.Marshal(got)
	require.NoError(r.t, err)
	saved := r.do("ada", "PUT", path, string(body), "If-Match", read.Header.Get("ETag")).Wants(http.StatusOK)
	clear(got)
	require.NoError(r.t, json.Unmarshal([]byte(saved.Body), &got))
	return got
}

// TestRequestLimits: the limits on requests are treated as max_keys is, and what GET
// answers can be sent back with PUT.
func TestRequestLimits(t *testing.T) {
	r := newRig(t)
	instance := r.replace("/settings", map[string]any{"key_requests": 60, "workspace_requests": 600})
	require.EqualValues(t, 60, instance["key_requests"])
	require.Equal(t, instance, r.replace("/settings", nil))
	const own = "/workspaces/team-a/settings"
	limits := func(members map[string]any) []any {
		return []any{members["key_requests"], members["workspace_requests"], members["max_keys"]}
	}
	for _, c := range []struct {
		name           string
		changed        map[string]any
		shown, inForce []any
	}{
		{"none of its own", nil, []any{nil, nil, nil}, []any{60.0, 600.0, nil}},
		{"a number", map[string]any{"key_requests": 120}, []any{120.0, nil, nil}, []any{120.0, 600.0, nil}},
		{"unlimited", map[string]any{"key_requests": nil, "unlimited_key_requests": true, "unlimited_workspace_requests": true}, []any{nil, nil, nil}, []any{nil, nil, nil}},
		{"the default again", map[string]any{"unlimited_workspace_requests": false}, []any{nil, nil, nil}, []any{nil, 600.0, nil}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := r.at(t)
			got := r.replace(own, c.changed)
			require.Equal(t, c.shown, limits(got))
			require.Equal(t, c.inForce, limits(got["in_force"].(map[string]any)))
			require.Equal(t, got, r.replace(own, nil), "the round trip changes nothing")
		})
	}
	for _, member := range []string{"key_requests", "workspace_requests"} {
		for name, c := range map[string]struct {
			path, wrong string
			values      map[string]any
		}{
			"zero":                 {"/settings", member, map[string]any{member: 0}},
			"below zero":           {own, member, map[string]any{member: -1}},
			"too large":            {own, member, map[string]any{member: 1 << 31}},
			"a number and none":    {own, member, map[string]any{member: 5, "unlimited_" + member: true}},
			"null for a flag":      {own, "unlimited_" + member, map[string]any{"unlimited_" + member: nil}},
			"no limit at the root": {"/settings", "unlimited_" + member, map[string]any{"unlimited_" + member: true}},
		} {
			t.Run(member+" "+name, func(t *testing.T) {
				r := r.at(t)
				body := map[string]any{"max_keys": nil, "require_expiry": false, "max_lifetime": nil, "enforced_at": nil, "key_requests": nil, "workspace_requests": nil}
				more := []string{"unlimited_keys", "unlimited_key_requests", "unlimited_workspace_requests"}
				if c.path == "/settings" {
					more = []string{"keys_enabled", "direct_enabled", "reminders_enabled"}
					body["remind_before"] = nil
				}
				for _, name := range more {
					body[name] = false
				}
				for name, value := range c.values {
					body[name] = value
				}
				text, err := json.Marshal(body)
				require.NoError(t, err)
				got := r.do("ada", "PUT", c.path, string(text), "If-Match", "*")
				status, code := http.StatusUnprocessableEntity, admin.CodeInvalid
				if name == "no limit at the root" {
					status, code = http.StatusBadRequest, admin.CodeMalformed
				}
				require.Equal(t, []string{c.wrong}, fields(got.problem(status, code)))
			})
		}
	}
}

// TestFindSecret: a secret leads to its key and to its record, and is not in the answer.
func TestFindSecret(t *testing.T) {
	r := newRig(t)
	first := r.create("olga", "team-a", "ci")
	require.NoError(t, r.login(first.Key.ID, first.Secret))
	var rotated made
	r.do("olga", "POST", "/keys/"+first.Key.ID+"/rotate", `{"grace":60}`).Wants(http.StatusOK).Into(&rotated)
	type found struct {
		Key    key    `json:"key"`
		Secret secret `json:"secret"`
		State  string `json:"secret_state"`
	}
	find := func(actor, text string) *reply {
		t.Helper()
		return r.do(actor, "POST", "/find_secret", `{"secret":"`+text+`"}`)
	}
	var got found
	for _, actor := range []string{"olga", "max", "ada"} {
		answer := find(actor, first.Secret).Wants(http.StatusOK)
		require.Equal(t, "no-store", answer.Header.Get("Cache-Control"))
		answer.Into(&got)
		require.Equal(t, r.read(actor, first.Key.ID), got.Key)
		require.Equal(t, got.Key.Secrets[0], got.Secret)
		require.Equal(t, noon, *got.Secret.LastUsedAt)
		require.Equal(t, "active", got.State)
	}
	find("olga", rotated.Secret).Wants(http.StatusOK).Into(&got)
	require.Equal(t, rotated.Key.Secrets[1].ID, got.Secret.ID)
	r.clock.Advance(time.Minute)
	find("olga", first.Secret).Wants(http.StatusOK).Into(&got)
	require.Equal(t, "expired", got.State)
	r.do("olga", "POST", "/keys/"+first.Key.ID+"/disable", "").Wants(http.StatusOK)
	find("olga", rotated.Secret).Wants(http.StatusOK).Into(&got)
	require.Equal(t, []string{"active", "disabled"}, []string{got.State, got.Key.State})

	nobodys := find("bert", nobodysSecret).problem(http.StatusNotFound, admin.CodeNotFound)
	for _, actor := range []string{"bert", "guest"} {
		require.Equal(t, nobodys, find(actor, first.Secret).problem(http.StatusNotFound, admin.CodeNotFound), "B20")
	}
	r.do("olga", "DELETE", "/keys/"+first.Key.ID+"/credentials/"+first.Key.Secrets[0].ID, "").Wants(http.StatusOK)
	find("olga", first.Secret).problem(http.StatusNotFound, admin.CodeNotFound)

	for name, body := range map[string]string{"left out": `{}`, "null": `{"secret":null}`, "empty": `{"secret":""}`, "no secret": `{"secret":"hello"}`} {
		t.Run(name, func(t *testing.T) {
			p := r.at(t).do("olga", "POST", "/find_secret", body).problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
			require.Equal(t, []string{"secret"}, fields(p))
			require.Equal(t, name == "left out", p.Errors[0].Reason == "It is missing.")
		})
	}
	t.Run("B32 a secret in the query is not read", func(t *testing.T) {
		p := r.at(t).do("olga", "POST", "/find_secret?secret="+rotated.Secret, `{}`).problem(http.StatusBadRequest, admin.CodeMalformed)
		require.Equal(t, []string{"secret"}, fields(p))
	})
	require.True(t, slices.ContainsFunc(admin.Table(), func(e admin.Entry) bool { return e.Pattern == "/find_secret" && e.Method == "POST" }))
}
