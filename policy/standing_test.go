package policy_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestStandingOf(t *testing.T) {
	enforced := store.Instance{Rules: store.Rules{MaxLifetime: 90 * day, EnforcedFrom: now}}
	old := aged(400*day, never)
	disabled := func(k store.Key) store.Key { k.Disabled = true; return k }
	suspended, off := store.Workspace{Suspended: true}, store.Instance{KeysOff: true}
	const (
		expired = "This API key has expired."
		ruled   = "This API key has expired under the rules of this service."
		paused  = "The workspace of this API key is suspended."
	)
	for _, c := range []struct {
		name      string
		key       store.Key
		workspace store.Workspace
		instance  store.Instance
		want      policy.Standing
	}{
		{"no rules, no expiry", aged(0, never), store.Workspace{}, store.Instance{}, policy.Standing{State: policy.StateActive}},
		{"no rules", aged(0, now.Add(day)), store.Workspace{}, store.Instance{}, policy.Standing{State: policy.StateActive, Expires: now.Add(day)}},
		{"1 microsecond before its end", aged(0, now.Add(time.Microsecond)), store.Workspace{}, store.Instance{},
			policy.Standing{State: policy.StateActive, Expires: now.Add(time.Microsecond)}},
		{"at its end", aged(0, now), store.Workspace{}, store.Instance{}, policy.Standing{State: policy.StateExpired, Text: expired, Expires: now}},
		{"rules that are not enforced", old, store.Workspace{}, instanceWith(store.Rules{RequireExpiry: true, MaxLifetime: day}), policy.Standing{State: policy.StateActive}},
		{"older than the longest life ends with the enforcement", old, store.Workspace{}, enforced,
			policy.Standing{State: policy.StateExpired, Text: ruled, Expires: now, ByRules: true}},
		{"younger ends later", aged(30*day, never), store.Workspace{}, enforced,
			policy.Standing{State: policy.StateActive, Expires: now.Add(60 * day), ByRules: true}},
		{"own expiry first", aged(400*day, now.Add(-day)), store.Workspace{}, enforced,
			policy.Standing{State: policy.StateExpired, Text: expired, Expires: now.Add(-day)}},
		{"own expiry and that of the rules at once", aged(90*day, now), store.Workspace{}, enforced,
			policy.Standing{State: policy.StateExpired, Text: expired, Expires: now}},
		{"a key without secrets counts from its creation", store.Key{Created: now}, store.Workspace{}, enforced,
			policy.Standing{State: policy.StateActive, Expires: now.Add(90 * day), ByRules: true}},
		{"B06 a suspended workspace", aged(0, never), suspended, store.Instance{}, policy.Standing{State: policy.StateSuspended, Text: paused}},
		{"B06 a deleted workspace", aged(0, never), store.Workspace{Deleted: true}, store.Instance{},
			policy.Standing{State: policy.StateSuspended, Text: "The workspace of this API key was deleted."}},
		{"B06 keys switched off", aged(0, now.Add(day)), store.Workspace{}, off,
			policy.Standing{State: policy.StateKeysOff, Text: "API keys are switched off.", Expires: now.Add(day)}},
		{"suspended comes before keys_off", aged(0, never), suspended, off, policy.Standing{State: policy.StateSuspended, Text: paused}},
		{"expired comes before suspended and keys_off", aged(0, now), suspended, off, policy.Standing{State: policy.StateExpired, Text: expired, Expires: now}},
		{"disabled comes before every other state", disabled(aged(0, now)), suspended, off,
			policy.Standing{State: policy.StateDisabled, Text: "This API key is disabled.", Expires: now}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := policy.StandingOf(&c.key, c.workspace, c.instance, now)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want.State == policy.StateActive, got.Live())
		})
	}
}
