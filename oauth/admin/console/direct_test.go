package console_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

const directBox = `<input type="checkbox" name="direct" value="yes"`

// TestDirectUse: a person allows and forbids the direct use of a key.
func TestDirectUse(t *testing.T) {
	r := newRig(t)
	page := r.get("olga", r.get("olga", newPage).redirectTarget()).Body
	require.Contains(t, page, directBox+`>`, "B32 not by default")
	require.Contains(t, page, "travels with every request")
	made := r.post("olga", newPage, r.form("olga", newPage, "name", "hook", "permissions", "project.list", "expires", "90d", "direct", "yes"))
	require.Equal(t, http.StatusCreated, made.StatusCode, made.Body)
	keys, err := r.keys.List(t.Context(), people["olga"].Actor, store.KeyQuery{Workspace: "team-a"})
	require.NoError(t, err)
	key := keys.Keys[0]
	require.True(t, key.Direct)
	at, change := "/keys/"+key.ID, "/keys/"+key.ID+"/change"
	require.Contains(t, r.get("olga", at).Body, "<dt>Direct use</dt><dd>Allowed")
	require.Contains(t, r.get("olga", change).Body, directBox+` checked>`)

	same := r.form("olga", change, "name", "hook", "permissions", "project.list", "expires", "keep", "direct", "yes")
	require.Contains(t, r.post("olga", change, same).redirectTarget(), "done=same")
	off := r.form("olga", change, "name", "hook", "permissions", "project.list", "expires", "keep")
	require.Contains(t, r.post("olga", change, off).redirectTarget(), "done=change")
	body := r.get("olga", at).Body
	require.Contains(t, body, "<dt>Direct use</dt><dd>Not allowed")
	require.Contains(t, body, "direct use: true → false")
}

// TestDirectUseIsForbidden: while the settings or the host's policy forbid direct use, no
// form offers it, and each says why. A key that allows it can be changed otherwise.
func TestDirectUseIsForbidden(t *testing.T) {
	const byHost = "Programs of this service log in."
	for name, c := range map[string]struct {
		reason string
		forbid func(r *rig, host *error)
	}{
		"by an administrator": {"An administrator has switched off the use of secrets in place of tokens.", func(r *rig, _ *error) {
			settings, err := r.keys.Settings(r.t.Context(), people["ada"].Actor)
			require.NoError(r.t, err)
			settings.DirectOff, settings.Rules.MaxKeys = true, 1
			_, err = r.keys.SaveSettings(r.t.Context(), people["ada"].Actor, settings)
			require.NoError(r.t, err)
		}},
		"by the host": {byHost, func(_ *rig, host *error) { *host = &policy.Denied{Rule: "host.direct", Reason: byHost} }},
	} {
		t.Run("B32 "+name, func(t *testing.T) {
			var host error
			r := newRig(t, func(_ *store.Store, keys *apikey.Config, _ *console.Config) {
				keys.Policy = policy.KeyFunc(func(_ context.Context, k *policy.KeyRequest) error {
					if k.After.Direct && (k.Before == nil || !k.Before.Direct) {
						return host
					}
					return nil
				})
			})
			direct, _ := r.made("team-a", "hook", "project.list")
			plain, _ := r.made("team-a", "ci", "project.list")
			_, err := r.keys.Update(t.Context(), people["olga"].Actor, direct.ID, apikey.Changes{Direct: new(true)})
			require.NoError(t, err)
			c.forbid(r, &host)

			for _, path := range []string{r.get("olga", newPage).redirectTarget(), "/keys/" + plain.ID + "/change"} {
				body := r.get("olga", path).Body
				require.Contains(t, body, "A new key could not allow direct use: "+c.reason)
				require.NotContains(t, body, directBox)
			}
			change := "/keys/" + plain.ID + "/change"
			sent := r.post("olga", change, r.form("olga", change, "name", "ci", "permissions", "project.list", "expires", "keep", "direct", "yes"))
			require.Equal(t, http.StatusForbidden, sent.StatusCode)
			require.Contains(t, sent.Body, `<a href="#f-direct">Direct use: `+c.reason)

			off := "Allowed, but an administrator has switched direct use off"
			require.Equal(t, host == nil, strings.Contains(r.get("olga", "/keys/"+direct.ID).Body, off))
			change = "/keys/" + direct.ID + "/change"
			body := r.get("olga", change).Body
			require.Contains(t, body, directBox+` checked>`)
			require.Contains(t, body, "A new key could not allow direct use: "+c.reason)
			form := r.form("olga", change, "name", "webhook", "permissions", "project.list", "expires", "keep", "direct", "yes")
			require.Contains(t, r.post("olga", change, form).redirectTarget(), "done=change")
			key, err := r.keys.Get(t.Context(), people["olga"].Actor, direct.ID)
			require.NoError(t, err)
			require.True(t, key.Direct, "a change of the name does not take it away")
		})
	}
}

// TestDirectSettings: an administrator switches direct use off and on, and sees first what
// that does.
func TestDirectSettings(t *testing.T) {
	r := newRig(t)
	rules := []string{"keys", "on", "limit", "none", "key_limit", "none", "workspace_limit", "none", "effect", "new"}
	send := func(direct, do string) *page {
		return r.post("ada", "/settings", r.form("ada", "/settings", append(rules, "direct", direct, "do", do)...))
	}
	off := func() bool {
		s, err := r.keys.Settings(t.Context(), people["ada"].Actor)
		require.NoError(t, err)
		return s.DirectOff
	}
	require.Contains(t, r.get("ada", "/settings").Body, `name="direct" value="on" checked>`)
	preview := send("off", "preview").Body
	require.Contains(t, preview, "Direct use stops at once.")
	require.Contains(t, preview, "direct use of secrets is <b>off</b>")
	require.Contains(t, preview, `<input type="hidden" name="direct" value="off">`)
	require.False(t, off(), "a preview changes nothing")
	require.Contains(t, send("off", "save").redirectTarget(), "done=settings")
	require.True(t, off())
	require.Contains(t, r.get("ada", "/settings").Body, `name="direct" value="off" checked>`)
	require.Contains(t, r.get("ada", "/settings/events").Body, "direct use on or off: true → false")
	require.NotContains(t, send("off", "preview").Body, "Direct use stops", "it is off already")
	require.Contains(t, send("on", "save").redirectTarget(), "done=settings")
	require.False(t, off())
	for _, direct := range []string{"", "maybe"} {
		got := send(direct, "save")
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
		require.Contains(t, got.Body, "Direct use: Choose whether direct use is on.")
	}
}

// TestRequestLimits: limits on requests are typed, shown and inherited as the limit of keys
// is.
func TestRequestLimits(t *testing.T) {
	r := newRig(t)
	const own = "/settings/workspaces/team-a"
	instance := []string{"keys", "on", "direct", "on", "limit", "none", "effect", "new", "do", "save"}
	send := func(path string, fields ...string) *page {
		return r.post("ada", path, r.form("ada", path, fields...))
	}
	rules := func() (store.Rules, store.Rules) {
		w, inForce, err := r.keys.Workspace(t.Context(), people["ada"].Actor, "team-a")
		require.NoError(t, err)
		return w.Rules, inForce
	}
	send("/settings", append(instance, "key_limit", "own", "key_requests", "60", "workspace_limit", "own", "workspace_requests", "600")...).redirectTarget()
	_, inForce := rules()
	require.Equal(t, store.Rules{KeyRequests: 60, WorkspaceRequests: 600}, inForce)
	body := r.get("ada", "/settings").Body
	require.Contains(t, body, `name="key_requests" inputmode="numeric" value="60"`)
	require.Contains(t, body, `name="key_limit" value="own" checked>`)
	require.Contains(t, r.get("ada", "/settings/events").Body, "requests of a key: none → 60")

	require.Contains(t, r.get("ada", own).Body, `name="key_limit" value="inherit" checked>`)
	typed := []string{"limit", "inherit", "effect", "new", "do", "save", "key_limit", "own", "key_requests", "5", "workspace_limit", "none"}
	send(own, typed...).redirectTarget()
	saved, inForce := rules()
	require.Equal(t, store.Rules{KeyRequests: 5, WorkspaceRequests: store.Unlimited}, saved)
	require.Equal(t, store.Rules{KeyRequests: 5}, inForce)
	body = r.get("ada", own).Body
	for _, part := range []string{
		"at most 5 requests a minute by one key", `name="workspace_limit" value="none" checked>`, "at most 60 requests a minute by one key",
		"at most 600 requests a minute by all keys of a workspace together",
	} {
		require.Contains(t, body, part)
	}
	preview := send(own, append(typed[:4:4], append([]string{"do", "preview"}, typed[6:]...)...)...).Body
	require.Contains(t, preview, "no limit on the requests of all keys of a workspace together")
	require.NotContains(t, preview, "only the default rules")
	require.Contains(t, r.get("ada", "/settings/events").Body, "requests of a workspace: none → unlimited")

	for name, c := range map[string]struct {
		path, wrong string
		fields      []string
	}{
		"zero":                 {own, "Requests of a key: Type a number of requests, 1 to 2147483647.", []string{"key_limit", "own", "key_requests", "0", "workspace_limit", "none"}},
		"too many":             {own, "Requests of a workspace: Type a number of requests", []string{"key_limit", "none", "workspace_limit", "own", "workspace_requests", "2147483648"}},
		"nothing chosen":       {own, "Requests of a workspace: Choose one.", []string{"key_limit", "none"}},
		"the default of none":  {"/settings", "Requests of a key: Choose one.", []string{"key_limit", "inherit", "workspace_limit", "none"}},
		"a choice of no sense": {"/settings", "Requests of a key: Choose one.", []string{"key_limit", "all", "workspace_limit", "none"}},
	} {
		t.Run(name, func(t *testing.T) {
			fields := append([]string{"keys", "on", "direct", "on", "limit", "none", "effect", "new", "do", "save"}, c.fields...)
			got := r.post("ada", c.path, r.form("ada", c.path, fields...))
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode)
			require.Contains(t, got.Body, c.wrong)
		})
	}
}
