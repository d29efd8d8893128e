package policy_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

var letters = scope.MustParse("a b c d e f g h")

func anySet(random *rand.Rand) scope.Set {
	var names []string
	for name := range letters.All() {
		if random.IntN(2) == 0 {
			names = append(names, name)
		}
	}
	s, _ := scope.Of(names...)
	return s
}

func anyTime(random *rand.Rand) time.Time {
	if random.IntN(4) == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(random.IntN(4000)-2000) * time.Hour)
}

// expiresLater reports whether expiry a is later than expiry b.
func expiresLater(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}

func TestKeyRequestOnlyNarrows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		asked := aged(0, anyTime(random))
		asked.Permissions, asked.NotAfterText = anySet(random), "2027-01-31"
		r := policy.NewKeyRequest(policy.KeyRequest{Action: policy.ActionCreate, Now: now, After: &asked})
		before, limit := r.Result(), r.Limit()
		for range random.IntN(12) {
			switch random.IntN(6) {
			case 0:
				r.LimitKeys(random.IntN(40) - 10)
			case 1:
				r.ShortenTo(anyTime(random))
			case 2:
				r.Drop(anySet(random))
			// B21: writing to the read-only fields does not widen, either.
			case 3:
				r.After.Permissions = anySet(random)
			case 4:
				r.After.NotAfter, r.After.NotAfterText = anyTime(random), "9999-12-31"
			case 5:
				r.After.Workspace, r.After.ID, r.After.Epoch, r.After.Disabled = "team-b", "other", -1, true
				r.After.Credentials[0].Created = now.Add(99 * day)
			}
			after := r.Result()
			if !asked.Permissions.ContainsAll(after.Permissions) {
				t.Fatalf("%v became %v", asked.Permissions, after.Permissions)
			}
			if expiresLater(after.NotAfter, asked.NotAfter) {
				t.Fatalf("expiry %v became %v", asked.NotAfter, after.NotAfter)
			}
			if after.NotAfterText != "" && !after.NotAfter.Equal(asked.NotAfter) {
				t.Fatalf("expiry %v reads %q", after.NotAfter, after.NotAfterText)
			}
			if n := r.Limit(); n < 0 && n != store.NoLimit || limit != store.NoLimit && (n == store.NoLimit || n > limit) {
				t.Fatalf("limit %d became %d", limit, n)
			}
			if after.Workspace != before.Workspace || after.ID != before.ID || after.Epoch != before.Epoch ||
				after.Disabled != before.Disabled || !after.Credentials[0].Created.Equal(before.Credentials[0].Created) {
				t.Fatalf("%+v became %+v", before, after)
			}
			limit = r.Limit()
		}
	}
}

func TestKeyRequestMethodsNeverWiden(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		key := aged(0, anyTime(random))
		key.Permissions = anySet(random)
		r := &policy.KeyRequest{Action: policy.ActionCreate, Now: now, After: &key}
		last := r.Result()
		for range random.IntN(12) {
			switch random.IntN(2) {
			case 0:
				r.ShortenTo(anyTime(random))
			case 1:
				r.Drop(anySet(random))
			}
			next := r.Result()
			if !last.Permissions.ContainsAll(next.Permissions) || expiresLater(next.NotAfter, last.NotAfter) {
				t.Fatalf("%v until %v became %v until %v", last.Permissions, last.NotAfter, next.Permissions, next.NotAfter)
			}
			last = next
		}
	}
}

func TestTokenRequestOnlyNarrows(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		granted, notAfter := anySet(random), now.Add(time.Duration(random.IntN(4000))*time.Hour)
		r := policy.NewTokenRequest(login(aged(0, never)), granted, notAfter)
		for range random.IntN(12) {
			switch random.IntN(3) {
			case 0:
				r.ShortenTo(anyTime(random))
			case 1:
				r.Drop(anySet(random))
			case 2: // B21: writing to the read-only fields does not widen, either.
				r.Requested, r.Key.Permissions, r.Key.NotAfter = letters, letters, never
			}
			if !granted.ContainsAll(r.Granted()) || r.NotAfter().After(notAfter) || r.NotAfter().IsZero() {
				t.Fatalf("%v until %v became %v until %v", granted, notAfter, r.Granted(), r.NotAfter())
			}
			granted, notAfter = r.Granted(), r.NotAfter()
		}
	}
}

func TestNewKeyRequestCopies(t *testing.T) {
	before, after := aged(day, never), aged(day, never)
	r := policy.NewKeyRequest(policy.KeyRequest{Action: policy.ActionUpdate, Before: &before, After: &after})
	r.ShortenTo(now)
	r.Before.Name, r.Before.Credentials[0].ID = "changed", "changed"
	r.After.Name, r.After.Credentials[0].ID = "changed", "changed"
	for _, k := range []store.Key{before, after, r.Result()} {
		if k.Name != "ci" || k.Credentials[0].ID != "s1" {
			t.Errorf("a policy changed the caller's record: %+v", k)
		}
	}
	if !after.NotAfter.IsZero() || !r.Result().NotAfter.Equal(now) {
		t.Error("only Result must be narrowed")
	}
}

func TestShortenToForgetsTheDate(t *testing.T) {
	k := aged(0, now.Add(day))
	k.NotAfterText = "2026-03-02"
	r := policy.NewKeyRequest(policy.KeyRequest{Action: policy.ActionCreate, After: &k})
	r.ShortenTo(now.Add(2 * day))
	r.ShortenTo(time.Time{})
	if got := r.Result(); got.NotAfterText != "2026-03-02" || !got.NotAfter.Equal(k.NotAfter) {
		t.Errorf("a later time or the zero time changed the expiry to %v (%q)", got.NotAfter, got.NotAfterText)
	}
	r.ShortenTo(now.Add(time.Hour))
	for _, got := range []store.Key{r.Result(), *r.After} {
		if got.NotAfterText != "" || !got.NotAfter.Equal(now.Add(time.Hour)) {
			t.Errorf("got %v (%q)", got.NotAfter, got.NotAfterText)
		}
	}
}

func TestExtendsLife(t *testing.T) {
	soon, later := now.Add(day), now.Add(2*day)
	for _, c := range []struct {
		name          string
		action        policy.Action
		before, after time.Time
		want          bool
	}{
		{"create", policy.ActionCreate, never, soon, true},
		{"import", policy.ActionImport, never, soon, true},
		{"rotate", policy.ActionRotate, soon, soon, true},
		{"rotate that shortens", policy.ActionRotate, later, soon, true},
		{"enable", policy.ActionEnable, soon, soon, true},
		{"update, same expiry", policy.ActionUpdate, soon, soon, false},
		{"update, none before or after", policy.ActionUpdate, never, never, false},
		{"update, earlier", policy.ActionUpdate, later, soon, false},
		{"update, later", policy.ActionUpdate, soon, later, true},
		{"update, one added", policy.ActionUpdate, never, soon, false},
		{"update, taken away", policy.ActionUpdate, soon, never, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := keyCase{action: c.action, before: aged(0, c.before), after: aged(0, c.after)}.request().ExtendsLife()
			if got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestLifetimeStart(t *testing.T) {
	older, newer := now.Add(-60*day), now.Add(-20*day)
	trust := func(created, ends time.Time) store.Credential {
		return store.Credential{Created: created, NotAfter: ends, Trust: &store.Trust{}}
	}
	for _, c := range []struct {
		name string
		of   []store.Credential
		want time.Time
	}{
		{"no credential: the key's creation", nil, now},
		{"one", []store.Credential{{Created: older}}, older},
		{"a rotated secret, whatever the order", []store.Credential{{Created: newer}, {Created: older, NotAfter: now.Add(day)}}, newer},
		{"a trust that was added lets no secret live longer", []store.Credential{{Created: older}, trust(newer, time.Time{})}, older},
		{"nor a trust", []store.Credential{trust(older, time.Time{}), {Created: newer}}, older},
		{"one that ends too late by itself", []store.Credential{trust(older, newer.Add(90*day+1)), {Created: newer}}, older},
		{"one that ends in time by itself", []store.Credential{trust(older, newer.Add(90*day)), {Created: newer}}, newer},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := policy.LifetimeStart(&store.Key{Created: now, Credentials: c.of}, 90*day); !got.Equal(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
