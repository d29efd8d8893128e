package policy_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

func TestMaxKeys(t *testing.T) {
	holds := func(n int) store.Workspace { return store.Workspace{ID: "team-a", Keys: n} }
	k := aged(0, now.Add(day))
	old := aged(400*day, now.Add(-day))
	ten := policy.MaxKeys(10)
	runKeyCases(t, []keyCase{
		{name: "create below the limit", policy: ten, action: policy.ActionCreate, after: k, workspace: holds(9), limit: 10},
		{name: "create at the limit", policy: ten, action: policy.ActionCreate, after: k, workspace: holds(10),
			rule: "max_keys", reason: "This workspace may hold at most 10 keys."},
		{name: "create above a lowered limit", policy: ten, action: policy.ActionCreate, after: k, workspace: holds(25), rule: "max_keys"},
		{name: "import at the limit", policy: ten, action: policy.ActionImport, after: k, workspace: holds(10), rule: "max_keys"},
		{name: "import below the limit", policy: ten, action: policy.ActionImport, after: k, workspace: holds(0), limit: 10},
		{name: "one key is singular", policy: policy.MaxKeys(1), action: policy.ActionCreate, after: k, workspace: holds(1),
			rule: "max_keys", reason: "at most 1 key."},
		{name: "zero allows none", policy: policy.MaxKeys(0), action: policy.ActionCreate, after: k, workspace: holds(0),
			rule: "max_keys", reason: "at most 0 keys."},
		{name: "a negative number allows none", policy: policy.MaxKeys(store.Unlimited), action: policy.ActionCreate, after: k,
			rule: "max_keys", reason: "at most 0 keys."},
		{name: "update above the limit passes", policy: ten, action: policy.ActionUpdate, before: old, after: k,
			workspace: holds(25), limit: store.NoLimit},
		{name: "rotate above the limit passes", policy: ten, action: policy.ActionRotate, before: old, after: rotated(old),
			workspace: holds(25), limit: store.NoLimit},
		{name: "enable above the limit passes", policy: ten, action: policy.ActionEnable, before: old, after: old,
			workspace: holds(25), limit: store.NoLimit},
		{name: "the lower of two limits holds", policy: policy.All(policy.MaxKeys(5), ten), action: policy.ActionCreate,
			after: k, workspace: holds(4), limit: 5},
		{name: "the lower of two limits denies", policy: policy.All(ten, policy.MaxKeys(5)), action: policy.ActionCreate,
			after: k, workspace: holds(5), rule: "max_keys", reason: "at most 5 keys"},
	})
	t.Run("login above the limit passes", func(t *testing.T) { passesLogin(t, policy.MaxKeys(0), k) })
}
