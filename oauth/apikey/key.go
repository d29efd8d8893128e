package apikey

import (
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Key is an API key as its users see it: the fields of store.Key but AdminPermissions,
// Epoch and the digests, and what follows from the settings and the lists of the
// service at the time of the call. It is a copy.
type Key struct {
	ID        string
	Workspace string
	Name      string
	// Permissions is the set that the key holds, without wildcards.
	// RequestedPermissions is the set as it was given, with wildcards.
	Permissions, RequestedPermissions scope.Set
	// Withheld are those of Permissions that no token of the key carries: they were
	// removed from the catalog, or became admin permissions and were not granted as
	// such. An organization admin grants the latter again by Update with a set of
	// permissions that contains them.
	Withheld scope.Set
	// Credentials are what programs log in with as this key, newest last, without the
	// digests.
	Credentials []store.Credential
	// LifetimeStart is the instant from which the rule MaxLifetime counts: when the newest
	// credential was created, or an older one that goes on; see policy.LifetimeStart.
	LifetimeStart time.Time
	// NotAfter is the key's own expiry; zero is never. NotAfterText is the date
	// that it was given as, or empty if it was given as an instant. Rules may end
	// the key earlier, see Standing.
	NotAfter     time.Time
	NotAfterText string
	// Resources are the resource indicators (RFC 8707) for which the key may
	// request tokens, besides the server's own audience.
	Resources []string
	Disabled  bool
	Direct    bool // see Spec.Direct
	// DirectOff says that an administrator has switched direct use off for all keys.
	DirectOff bool
	CreatedBy store.ActorRef
	// Depth is 0 for a key that a person created, and one more than its creator's for
	// a key that a key created.
	Depth   int
	Created time.Time
	Updated time.Time
	// LastUsed is the time of the last login that Flush has written; zero is never.
	LastUsed time.Time
	// Version is 1 for a new key, and every change raises it by 1.
	Version int64
	// Standing says whether the key is live, when it ends and why, as for a login.
	// Config.Workspaces and Config.Policy are not asked for it.
	Standing policy.Standing
	// RulesBroken names the expiry rules of the settings that the key's own expiry
	// breaks: "require_expiry", "max_lifetime". MaxLifetime counts from LifetimeStart.
	// Such a key may still be live; Standing says when the rules end it.
	RulesBroken []string
	// Outdated names the peppers and prefixes of the key's secrets that are not the
	// first of their list: "pepper 1", "secret prefix lk_".
	Outdated []string
}

// keyOf returns the Key of a stored key.
func (s *Service) keyOf(f *store.Found, now time.Time) Key {
	record, instance := forPolicies(f.Key), s.effective(f.Instance)
	shown := withoutCredentials(&record, s.issuable(&record), policy.StandingOf(&record, f.Workspace, instance, now))
	shown.DirectOff = instance.DirectOff
	rules := policy.EffectiveRules(instance, f.Workspace)
	shown.LifetimeStart = policy.LifetimeStart(&record, rules.MaxLifetime)
	shown.Credentials, shown.RulesBroken, shown.Outdated = record.Credentials, rulesBroken(&record, rules), s.outdated(&f.Key, now)
	return shown
}
