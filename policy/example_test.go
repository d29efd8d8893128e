package policy_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// march is the time of every example.
var march = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// create asks p whether a key with the given expiry (zero means none) may be created
// in a workspace that has the given number of keys.
func create(p policy.Policy, keys int, notAfter time.Time) {
	r := policy.NewKeyRequest(policy.KeyRequest{
		Action: policy.ActionCreate, Now: march,
		Workspace: store.Workspace{ID: "team-a", Keys: keys},
		After:     &store.Key{ID: "key-1", Workspace: "team-a", NotAfter: notAfter, Created: march},
	})
	if denied, ok := policy.AsDenied(p.CheckKey(context.Background(), r)); ok {
		fmt.Println(denied.Reason)
		return
	}
	fmt.Println("allowed, expires:", r.Result().NotAfter.Format(time.DateOnly))
}

// logIn asks p for a token for a key that was created on 1 January without an expiry.
func logIn(p policy.Policy, from string, rules store.Rules) {
	r := policy.NewTokenRequest(policy.TokenRequest{
		Now: march, Address: netip.MustParseAddr(from),
		Instance: store.Instance{Rules: rules},
		Key:      &store.Key{ID: "key-1", Workspace: "team-a", Created: march.AddDate(0, -2, 0)},
	}, scope.MustParse("project.list project.purge"), march.Add(time.Hour))
	if denied, ok := policy.AsDenied(p.CheckToken(context.Background(), r)); ok {
		fmt.Println(denied.Reason)
		return
	}
	fmt.Println("a token for", r.Granted(), "until", r.NotAfter().Format(time.TimeOnly))
}

func Example() {
	rules := policy.All(
		policy.MaxKeys(10),
		policy.DefaultLifetime(30*24*time.Hour),
		policy.MaxLifetime(90*24*time.Hour),
		policy.TokenTTL(15*time.Minute),
	)
	create(rules, 9, time.Time{})
	create(rules, 10, time.Time{})
	create(rules, 3, march.AddDate(1, 0, 0))
	logIn(rules, "192.0.2.7", store.Rules{})
	// Output:
	// allowed, expires: 2026-03-31
	// This workspace may hold at most 10 keys.
	// This key's expiry is too late: the latest allowed is 2026-05-30T12:00:00Z, and a date means the end of that day.
	// a token for project.list project.purge until 12:15:00
}

func ExampleMaxKeys() {
	create(policy.MaxKeys(3), 2, march.AddDate(0, 1, 0))
	create(policy.MaxKeys(3), 3, march.AddDate(0, 1, 0))
	// Output:
	// allowed, expires: 2026-04-01
	// This workspace may hold at most 3 keys.
}

func ExampleRequireExpiry() {
	create(policy.RequireExpiry(), 0, time.Time{})
	create(policy.RequireExpiry(), 0, march.AddDate(0, 1, 0))
	// Output:
	// This key needs an expiry, and it has none.
	// allowed, expires: 2026-04-01
}

func ExampleMaxLifetime() {
	create(policy.MaxLifetime(7*24*time.Hour), 0, march.AddDate(0, 0, 7))
	create(policy.MaxLifetime(7*24*time.Hour), 0, march.AddDate(0, 0, 8))
	// Output:
	// allowed, expires: 2026-03-08
	// This key's expiry is too late: the latest allowed is 2026-03-08T12:00:00Z, and a date means the end of that day.
}

func ExampleDefaultLifetime() {
	create(policy.DefaultLifetime(7*24*time.Hour), 0, time.Time{})
	create(policy.DefaultLifetime(7*24*time.Hour), 0, march.AddDate(0, 1, 0))
	// Output:
	// allowed, expires: 2026-03-08
	// allowed, expires: 2026-04-01
}

func ExampleTokenTTL() {
	logIn(policy.TokenTTL(5*time.Minute), "192.0.2.7", store.Rules{})
	// Output:
	// a token for project.list project.purge until 12:05:00
}

func ExampleAllowAddresses() {
	office := policy.AllowAddresses(netip.MustParsePrefix("192.0.2.0/24"))
	logIn(office, "192.0.2.7", store.Rules{})
	logIn(office, "198.51.100.7", store.Rules{})
	// Output:
	// a token for project.list project.purge until 13:00:00
	// This network address is not allowed.
}

func ExampleRateLimit() {
	twice := policy.RateLimit(policy.RateLimitConfig{By: policy.ByKey, Limit: 2, Per: time.Minute})
	for range 3 {
		logIn(twice, "192.0.2.7", store.Rules{})
	}
	// Output:
	// a token for project.list project.purge until 13:00:00
	// a token for project.list project.purge until 13:00:00
	// Too many logins; try again in 30 seconds.
}

func ExampleReportOnly() {
	tried := policy.ReportOnly(policy.All(policy.MaxKeys(10), policy.TokenTTL(5*time.Minute)), func(_ context.Context, t policy.Trial) {
		switch {
		case t.Key != nil:
			fmt.Println("would refuse in", t.Key.Workspace.ID+":", t.Err)
		case !t.NotAfter.IsZero():
			fmt.Println("would end the token of", t.Token.Key.ID, "at", t.NotAfter.Format(time.TimeOnly))
		}
	})
	create(tried, 10, march.AddDate(0, 1, 0))
	logIn(tried, "192.0.2.7", store.Rules{})
	// Output:
	// would refuse in team-a: policy max_keys: refused: This workspace may hold at most 10 keys.
	// allowed, expires: 2026-04-01
	// would end the token of key-1 at 12:05:00
	// a token for project.list project.purge until 13:00:00
}

func ExampleStandingOf() {
	// An administrator bounds the lifetime of new keys at first, and of all keys
	// from September on.
	key := &store.Key{ID: "key-1", Created: march}
	instance := store.Instance{Rules: store.Rules{MaxLifetime: 30 * 24 * time.Hour}}
	september := march.AddDate(0, 6, 0)
	show := func() {
		standing := policy.StandingOf(key, store.Workspace{}, instance, september)
		fmt.Println(standing.State, standing.Text, standing.Expires.Format(time.DateOnly))
	}
	show()
	instance.Rules.EnforcedFrom = september
	show()
	// Output:
	// active  0001-01-01
	// expired This API key has expired under the rules of this service. 2026-09-01
}

func ExampleTokenFunc() {
	noPurgeOnSunday := policy.TokenFunc(func(_ context.Context, r *policy.TokenRequest) error {
		if r.Now.Weekday() == time.Sunday {
			r.Drop(scope.MustParse("project.purge"))
		}
		return nil
	})
	logIn(noPurgeOnSunday, "192.0.2.7", store.Rules{})
	// Output:
	// a token for project.list until 13:00:00
}

func ExampleKeyFunc() {
	freeze := policy.KeyFunc(func(_ context.Context, r *policy.KeyRequest) error {
		if r.Action == policy.ActionCreate && r.Workspace.ID == "team-a" {
			return &policy.Denied{Rule: "freeze", Reason: "No new keys during the audit."}
		}
		return nil
	})
	create(freeze, 0, time.Time{})
	// Output:
	// No new keys during the audit.
}
