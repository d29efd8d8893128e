package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func instanceWith(r store.Rules) store.Instance { return store.Instance{Rules: r} }
func workspaceWith(r store.Rules) store.Workspace {
	return store.Workspace{ID: "team-a", Keys: 5, Rules: r}
}

func TestSettingsState(t *testing.T) {
	p := policy.Settings()
	soon := now.Add(day)
	k := aged(30*day, soon)
	longer := aged(30*day, soon.Add(day))
	for _, state := range []struct {
		name      string
		instance  store.Instance
		workspace store.Workspace
		rule      string
		all       bool // the rule denies every change
	}{
		{name: "keys off", instance: store.Instance{KeysOff: true}, rule: "settings.keys_off"},
		{name: "B06 suspended workspace", workspace: store.Workspace{Suspended: true}, rule: "settings.suspended"},
		{name: "deleted workspace", workspace: store.Workspace{Deleted: true}, rule: "settings.suspended", all: true},
	} {
		t.Run(state.name, func(t *testing.T) {
			rename := ""
			if state.all {
				rename = state.rule
			}
			cases := []keyCase{
				{name: "create", action: policy.ActionCreate, after: k, rule: state.rule},
				{name: "import", action: policy.ActionImport, after: k, rule: state.rule},
				{name: "rotate", action: policy.ActionRotate, before: k, after: rotated(k), rule: state.rule},
				{name: "enable", action: policy.ActionEnable, before: k, after: k, rule: state.rule},
				{name: "update to a later expiry", action: policy.ActionUpdate, before: k, after: longer, rule: state.rule},
				{name: "rename", action: policy.ActionUpdate, before: k, after: renamed(k), rule: rename},
				{name: "update to an earlier expiry", action: policy.ActionUpdate, before: longer, after: k, rule: rename},
			}
			for i := range cases {
				cases[i].policy, cases[i].instance, cases[i].workspace = p, state.instance, state.workspace
			}
			runKeyCases(t, cases)
			t.Run("login", func(t *testing.T) {
				got := policy.StandingOf(&k, state.workspace, state.instance, now)
				require.Equal(t, state.rule, "settings."+string(got.State))
				require.NotEmpty(t, got.Text)
			})
		})
	}
	t.Run("settings that were never saved allow everything", func(t *testing.T) {
		old := aged(999*day, never)
		runKeyCases(t, []keyCase{
			{name: "create", policy: p, action: policy.ActionCreate, after: aged(0, never), limit: store.NoLimit},
			{name: "update", policy: p, action: policy.ActionUpdate, before: k, after: old},
			{name: "rotate", policy: p, action: policy.ActionRotate, before: old, after: rotated(old)},
			{name: "enable", policy: p, action: policy.ActionEnable, before: old, after: old},
		})
		t.Run("login", func(t *testing.T) {
			require.Equal(t, policy.Standing{State: policy.StateActive}, policy.StandingOf(&old, store.Workspace{}, store.Instance{}, now))
		})
	})
}

func TestSettingsRules(t *testing.T) {
	p := policy.Settings()
	year := now.Add(365 * day)
	old := aged(400*day, never)
	quarter := store.Rules{MaxLifetime: 90 * day}
	expiry := store.Rules{RequireExpiry: true}
	runKeyCases(t, []keyCase{
		{name: "create under the instance's limit", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(store.Rules{MaxKeys: 6}), workspace: workspaceWith(store.Rules{}), limit: 6},
		{name: "create at the instance's limit", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(store.Rules{MaxKeys: 5}), workspace: workspaceWith(store.Rules{}), rule: "settings.max_keys", reason: "at most 5 keys"},
		{name: "create at the workspace's lower limit", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(store.Rules{MaxKeys: 50}), workspace: workspaceWith(store.Rules{MaxKeys: 5}), rule: "settings.max_keys"},
		{name: "create under the workspace's higher limit", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(store.Rules{MaxKeys: 5}), workspace: workspaceWith(store.Rules{MaxKeys: 50}), limit: 50},
		{name: "create in an unlimited workspace", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(store.Rules{MaxKeys: 5}), workspace: workspaceWith(store.Rules{MaxKeys: store.Unlimited}), limit: store.NoLimit},
		{name: "an invalid negative limit allows none", policy: p, action: policy.ActionCreate, after: old,
			workspace: workspaceWith(store.Rules{MaxKeys: -7}), rule: "settings.max_keys"},
		{name: "rotate above a lowered limit", policy: p, action: policy.ActionRotate, before: old, after: rotated(old),
			instance: instanceWith(store.Rules{MaxKeys: 1}), workspace: workspaceWith(store.Rules{})},

		{name: "create without the expiry the instance requires", policy: p, action: policy.ActionCreate, after: old,
			instance: instanceWith(expiry), rule: "settings.require_expiry"},
		{name: "create without the expiry the workspace requires", policy: p, action: policy.ActionCreate, after: old,
			workspace: workspaceWith(expiry), rule: "settings.require_expiry"},
		{name: "create with the required expiry", policy: p, action: policy.ActionCreate, after: aged(0, year), instance: instanceWith(expiry)},
		{name: "rotate without the required expiry", policy: p, action: policy.ActionRotate, before: old, after: rotated(old),
			instance: instanceWith(expiry), rule: "settings.require_expiry"},
		{name: "rename without the required expiry", policy: p, action: policy.ActionUpdate, before: old, after: renamed(old), instance: instanceWith(expiry)},

		{name: "create beyond the instance's longest life", policy: p, action: policy.ActionCreate, after: aged(0, year),
			instance: instanceWith(quarter), rule: "settings.max_lifetime", reason: "2026-05-30T12:00:00Z"},
		{name: "a workspace cannot lengthen it", policy: p, action: policy.ActionCreate, after: aged(0, year), instance: instanceWith(quarter),
			workspace: workspaceWith(store.Rules{MaxLifetime: 900 * day}), rule: "settings.max_lifetime", reason: "2026-05-30T12:00:00Z"},
		{name: "a workspace can shorten it", policy: p, action: policy.ActionCreate, after: aged(0, now.Add(60*day)), instance: instanceWith(quarter),
			workspace: workspaceWith(store.Rules{MaxLifetime: 30 * day}), rule: "settings.max_lifetime", reason: "2026-03-31T12:00:00Z"},
		{name: "create within it", policy: p, action: policy.ActionCreate, after: aged(0, now.Add(90*day)), instance: instanceWith(quarter)},
		{name: "rename of a key beyond it", policy: p, action: policy.ActionUpdate, before: old, after: renamed(old), instance: instanceWith(quarter)},
		{name: "rename beyond an enforced one", policy: p, action: policy.ActionUpdate, before: old, after: renamed(old),
			instance: instanceWith(store.Rules{MaxLifetime: 90 * day, EnforcedFrom: now.Add(-day)})},
		{name: "enable of a key beyond it", policy: p, action: policy.ActionEnable, before: old, after: old,
			instance: instanceWith(quarter), rule: "settings.max_lifetime"},
	})
}

func TestStandingUnderRules(t *testing.T) {
	past, today, future := now.Add(-day), now, now.Add(10*time.Minute)
	quarter := func(from time.Time) store.Rules { return store.Rules{MaxLifetime: 90 * day, EnforcedFrom: from} }
	expiry := func(from time.Time) store.Rules { return store.Rules{RequireExpiry: true, EnforcedFrom: from} }
	hour := now.Add(time.Hour)
	for _, c := range []struct {
		name     string
		key      store.Key
		instance store.Rules
		own      store.Rules
		expired  bool
		until    time.Time // the expiry; hour means none within the hour
	}{
		{name: "rules for keys stored from now on", key: aged(400*day, never),
			instance: store.Rules{RequireExpiry: true, MaxLifetime: 90 * day}, until: hour},
		{name: "before the date", key: aged(400*day, never), instance: quarter(now.Add(2 * day)), until: hour},
		{name: "the key ends at the date", key: aged(400*day, never), instance: quarter(future), until: future},
		{name: "from the date on", key: aged(400*day, never), instance: quarter(today), expired: true},
		{name: "after the date", key: aged(400*day, never), instance: quarter(past), expired: true},
		{name: "the workspace's date is earlier", key: aged(400*day, never), instance: quarter(now.Add(2 * day)),
			own: store.Rules{EnforcedFrom: past}, expired: true},
		{name: "the workspace's date is the only one", key: aged(400*day, never),
			instance: store.Rules{MaxLifetime: 90 * day}, own: store.Rules{EnforcedFrom: past}, expired: true},
		{name: "the workspace cannot set a later date", key: aged(400*day, never), instance: quarter(past),
			own: store.Rules{EnforcedFrom: now.Add(2 * day)}, expired: true},
		{name: "a younger key", key: aged(89*day, never), instance: quarter(past), until: hour},
		{name: "a key as old as the longest life", key: aged(90*day, never), instance: quarter(past), expired: true},
		{name: "the key ends with the longest life", key: aged(90*day-time.Minute, never), instance: quarter(past),
			until: now.Add(time.Minute)},
		{name: "the key's own earlier expiry counts", key: aged(30*day, now.Add(time.Minute)), instance: quarter(past),
			until: now.Add(time.Minute)},
		{name: "a later expiry does not help", key: aged(400*day, now.Add(999*day)), instance: quarter(past), expired: true},
		{name: "a rotation lets the key live again", key: rotated(aged(400*day, never)), instance: quarter(past), until: hour},
		{name: "required expiry, none there", key: aged(0, never), instance: expiry(past), expired: true},
		{name: "required expiry, none there, before the date", key: aged(0, never), instance: expiry(future), until: future},
		{name: "required expiry, far away", key: aged(400*day, now.Add(999*day)), instance: expiry(past), until: hour},
		{name: "the workspace requires it", key: aged(0, never), own: expiry(past), expired: true},
		{name: "required expiry and a longest life", key: aged(0, never),
			instance: store.Rules{RequireExpiry: true, MaxLifetime: 90 * day, EnforcedFrom: past}, until: hour},
		{name: "a date without rules", key: aged(400*day, never), instance: store.Rules{EnforcedFrom: past}, until: hour},
		{name: "an expired key", key: aged(30*day, now), expired: true},
		{name: "a number of keys above the limit", key: aged(0, never), instance: store.Rules{MaxKeys: 1}, until: hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := policy.StandingOf(&c.key, workspaceWith(c.own), instanceWith(c.instance), now)
			if c.expired {
				require.Equal(t, policy.StateExpired, got.State)
				require.Contains(t, got.Text, "This API key has expired")
				require.False(t, now.Before(got.Expires))
				return
			}
			require.Equal(t, policy.StateActive, got.State)
			require.Empty(t, got.Text)
			if c.until.Equal(hour) { // no end within the hour
				require.True(t, got.Expires.IsZero() || !got.Expires.Before(hour), got.Expires)
				return
			}
			require.Equal(t, c.until, got.Expires)
		})
	}
}

func TestEffectiveRules(t *testing.T) {
	early, late := now, now.Add(day)
	for _, c := range []struct {
		name                string
		instance, own, want store.Rules
	}{
		{name: "no rules"},
		{name: "the instance's alone",
			instance: store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early},
			want:     store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early}},
		{name: "the workspace's alone",
			own:  store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early},
			want: store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early}},
		{name: "both",
			instance: store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: 2 * day, EnforcedFrom: late},
			own:      store.Rules{MaxKeys: 8, MaxLifetime: day, EnforcedFrom: early},
			want:     store.Rules{MaxKeys: 8, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early}},
		{name: "both, the other way round",
			instance: store.Rules{MaxKeys: 8, MaxLifetime: day, EnforcedFrom: early},
			own:      store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: 2 * day, EnforcedFrom: late},
			want:     store.Rules{MaxKeys: 3, RequireExpiry: true, MaxLifetime: day, EnforcedFrom: early}},
		{name: "unlimited workspace", instance: store.Rules{MaxKeys: 3}, own: store.Rules{MaxKeys: store.Unlimited}},
		{name: "unlimited instance", instance: store.Rules{MaxKeys: store.Unlimited}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := policy.EffectiveRules(instanceWith(c.instance), workspaceWith(c.own)); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
