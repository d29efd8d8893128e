package policy_test

import (
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/store"
)

var never = time.Time{}

// renamed returns k under another name: a change that does not extend its life.
func renamed(k store.Key) store.Key {
	k = k.Clone()
	k.Name = "renamed"
	return k
}

func TestRequireExpiry(t *testing.T) {
	p := policy.RequireExpiry()
	soon := now.Add(day)
	runKeyCases(t, []keyCase{
		{name: "create with an expiry", policy: p, action: policy.ActionCreate, after: aged(0, soon)},
		{name: "create without", policy: p, action: policy.ActionCreate, after: aged(0, never),
			rule: "require_expiry", reason: "needs an expiry"},
		{name: "import without", policy: p, action: policy.ActionImport, after: aged(0, never), rule: "require_expiry"},
		{name: "rename of an old key without", policy: p, action: policy.ActionUpdate,
			before: aged(90*day, never), after: renamed(aged(90*day, never))},
		{name: "update that adds an expiry", policy: p, action: policy.ActionUpdate,
			before: aged(90*day, never), after: aged(90*day, soon)},
		{name: "update that removes the expiry", policy: p, action: policy.ActionUpdate,
			before: aged(90*day, soon), after: aged(90*day, never), rule: "require_expiry"},
		{name: "rotate without", policy: p, action: policy.ActionRotate,
			before: aged(90*day, never), after: rotated(aged(90*day, never)), rule: "require_expiry"},
		{name: "rotate with an expiry", policy: p, action: policy.ActionRotate,
			before: aged(90*day, soon), after: rotated(aged(90*day, soon))},
		{name: "enable without", policy: p, action: policy.ActionEnable,
			before: aged(90*day, never), after: aged(90*day, never), rule: "require_expiry"},
	})
	t.Run("login of an old key without", func(t *testing.T) { passesLogin(t, p, aged(90*day, never)) })
}

func TestMaxLifetime(t *testing.T) {
	p := policy.MaxLifetime(90 * day)
	latest := now.Add(90 * day)
	future := aged(-400*day, now.Add(450*day))
	runKeyCases(t, []keyCase{
		{name: "create with exactly the longest life", policy: p, action: policy.ActionCreate, after: aged(0, latest)},
		{name: "create one instant beyond", policy: p, action: policy.ActionCreate, after: aged(0, latest.Add(1)),
			rule: "max_lifetime", reason: "the latest allowed is 2026-05-30T12:00:00Z, and a date means the end of that day."},
		{name: "create without an expiry", policy: p, action: policy.ActionCreate, after: aged(0, never),
			rule: "max_lifetime", reason: "This key needs an expiry: the latest allowed is 2026-05-30T12:00:00Z"},
		{name: "import counts from the secret's creation", policy: p, action: policy.ActionImport, after: aged(30*day, latest),
			rule: "max_lifetime", reason: "2026-04-30T12:00:00Z"},
		{name: "import of a secret from the future counts from now", policy: p, action: policy.ActionImport, after: future,
			rule: "max_lifetime", reason: "2026-05-30T12:00:00Z"},
		{name: "rename of an old key that does not conform", policy: p, action: policy.ActionUpdate,
			before: aged(400*day, never), after: renamed(aged(400*day, never))},
		{name: "update to an earlier expiry that is still too late", policy: p, action: policy.ActionUpdate,
			before: aged(0, now.Add(900*day)), after: aged(0, now.Add(300*day))},
		{name: "update to a later expiry within the bound", policy: p, action: policy.ActionUpdate,
			before: aged(30*day, now.Add(day)), after: aged(30*day, now.Add(60*day))},
		{name: "update to a later expiry beyond the bound", policy: p, action: policy.ActionUpdate,
			before: aged(30*day, now.Add(day)), after: aged(30*day, now.Add(61*day)),
			rule: "max_lifetime", reason: "2026-04-30T12:00:00Z, and a date means the end of that day. To set a later one, rotate the key, and replace its public keys and trusts if it has any."},
		{name: "update that removes the expiry", policy: p, action: policy.ActionUpdate,
			before: aged(0, latest), after: aged(0, never), rule: "max_lifetime"},
		{name: "rotate counts from the new secret", policy: p, action: policy.ActionRotate,
			before: aged(89*day, now.Add(day)), after: rotated(aged(89*day, latest))},
		{name: "rotate beyond the bound", policy: p, action: policy.ActionRotate,
			before: aged(89*day, now.Add(day)), after: rotated(aged(89*day, latest.Add(1))), rule: "max_lifetime"},
		{name: "rotate without an expiry", policy: p, action: policy.ActionRotate,
			before: aged(89*day, never), after: rotated(aged(89*day, never)), rule: "max_lifetime"},
		{name: "enable of a key that conforms", policy: p, action: policy.ActionEnable,
			before: aged(0, latest), after: aged(0, latest)},
		{name: "enable of a key that does not conform", policy: p, action: policy.ActionEnable,
			before: aged(400*day, never), after: aged(400*day, never), rule: "max_lifetime", reason: "To set a later one, rotate the key, and replace its public keys and trusts if it has any."},
		{name: "zero denies every key", policy: policy.MaxLifetime(0), action: policy.ActionCreate,
			after: aged(0, now.Add(time.Second)), rule: "max_lifetime"},
	})
	t.Run("login of an old key that does not conform", func(t *testing.T) { passesLogin(t, p, aged(400*day, never)) })
	t.Run("the named instant is allowed", func(t *testing.T) {
		// The refusal names the bound cut to the second, which is never too late.
		made := aged(-300*time.Millisecond, never)
		made.NotAfter = now.Add(90 * day).Truncate(time.Second)
		c := keyCase{action: policy.ActionCreate, after: made}
		checkDenied(t, p.CheckKey(t.Context(), c.request()), "", "")
	})
}

func TestDefaultLifetime(t *testing.T) {
	p := policy.DefaultLifetime(30 * day)
	given := now.Add(30 * day)
	soon := now.Add(day)
	runKeyCases(t, []keyCase{
		{name: "create without an expiry", policy: p, action: policy.ActionCreate, after: aged(0, never), notAfter: given},
		{name: "create with one", policy: p, action: policy.ActionCreate, after: aged(0, soon)},
		{name: "create with a later one", policy: p, action: policy.ActionCreate, after: aged(0, now.Add(900*day))},
		{name: "import without an expiry", policy: p, action: policy.ActionImport, after: aged(99*day, never), notAfter: given},
		{name: "update that removes the expiry", policy: p, action: policy.ActionUpdate,
			before: aged(0, soon), after: aged(0, never), notAfter: given},
		{name: "rename of an old key without one", policy: p, action: policy.ActionUpdate,
			before: aged(99*day, never), after: renamed(aged(99*day, never))},
		{name: "rotate of an old key without one", policy: p, action: policy.ActionRotate,
			before: aged(99*day, never), after: rotated(aged(99*day, never))},
		{name: "enable of an old key without one", policy: p, action: policy.ActionEnable,
			before: aged(99*day, never), after: aged(99*day, never)},
		{name: "before RequireExpiry it supplies the expiry", policy: policy.All(p, policy.RequireExpiry()),
			action: policy.ActionCreate, after: aged(0, never), notAfter: given},
		{name: "after RequireExpiry it comes too late", policy: policy.All(policy.RequireExpiry(), p),
			action: policy.ActionCreate, after: aged(0, never), rule: "require_expiry"},
		{name: "a lifetime of zero denies", policy: policy.DefaultLifetime(0), action: policy.ActionCreate,
			after: aged(0, never), rule: "default_lifetime"},
	})
	t.Run("login of an old key without one", func(t *testing.T) { passesLogin(t, p, aged(99*day, never)) })
}

func TestTokenTTL(t *testing.T) {
	for _, c := range []struct {
		name string
		d    time.Duration
		want time.Duration
		rule string
	}{
		{name: "shorter", d: 5 * time.Minute, want: 5 * time.Minute},
		{name: "longer changes nothing", d: 5 * time.Hour, want: time.Hour},
		{name: "zero denies", d: 0, rule: "token_ttl"},
		{name: "negative denies", d: -1, rule: "token_ttl"},
	} {
		t.Run("login: "+c.name, func(t *testing.T) {
			r := tokenRequest(login(aged(0, never)))
			checkDenied(t, policy.TokenTTL(c.d).CheckToken(t.Context(), r), c.rule, "")
			if want := now.Add(c.want); c.rule == "" && !r.NotAfter().Equal(want) {
				t.Errorf("the token lives until %v, want %v", r.NotAfter(), want)
			}
		})
	}
	old := aged(99*day, never)
	runKeyCases(t, []keyCase{
		{name: "create", policy: policy.TokenTTL(0), action: policy.ActionCreate, after: old},
		{name: "update", policy: policy.TokenTTL(0), action: policy.ActionUpdate, before: old, after: renamed(old)},
		{name: "rotate", policy: policy.TokenTTL(0), action: policy.ActionRotate, before: old, after: rotated(old)},
	})
}
