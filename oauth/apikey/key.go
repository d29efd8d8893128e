package apikey

import (
	"time"

	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Key is an API key as its users see it: what store.Key says of it, without
// digests, and what holds of it at the time of the call. It is a copy.
type Key struct {
	ID        string
	Workspace string
	Name      string
	// Permissions is the concrete set that the key holds, Asked the set as it was
	// given, wildcards included.
	Permissions, Asked scope.Set
	// Withheld are those of Permissions that no token of the key carries: they left
	// the catalog, or became admin permissions and were not granted as such. An
	// organization admin grants the latter again by Update with a set of
	// permissions that holds them.
	Withheld scope.Set
	// Secrets are the secrets that open the key, newest last.
	Secrets []KeySecret
	// Renewed is when the newest secret was made; without any, when the key was.
	// Rules count a key's life from it.
	Renewed time.Time
	// NotAfter is the key's own expiry, zero is never; NotAfterText is the date
	// that it was given as, if it was one. Rules may end the key earlier, see
	// Standing.
	NotAfter     time.Time
	NotAfterText string
	// Resources are the resource indicators (RFC 8707) that the key may ask
	// tokens for, besides the server's own audience.
	Resources []string
	Disabled  bool
	CreatedBy store.ActorRef
	// Depth is how many keys stand between the key and a person.
	Depth   int
	Created time.Time
	Updated time.Time
	// LastUsed is the last login that Flush has written; zero is never.
	LastUsed time.Time
	// Version counts the changes, from 1.
	Version int64
	// Standing says whether the key is live, when it ends and why, as a login
	// would say it. A host's own word on its workspaces (Config.Workspaces) and
	// policies are not asked for it.
	Standing policy.Standing
	// Breaks names the expiry rules in force that refuse a key made as this one is
	// now: "require_expiry", "max_lifetime".
	Breaks []string
	// Outdated names the peppers and the prefixes of its secrets that are not the
	// first of their lists: "pepper 1", "secret prefix lk_".
	Outdated []string
}

// KeySecret is what is known of a secret of a key.
type KeySecret struct {
	// ID is unique within the key; a token names the secret it came from.
	ID string
	// Hint is the end of the plaintext, for people to recognise it by.
	Hint string
	// Prefix is what a generated secret begins with.
	Prefix    string
	CreatedBy store.ActorRef
	// Generated says that the secret is random, see store.Secret.
	Generated bool
	Created   time.Time
	// NotAfter is the instant from which the secret is refused, zero for as long
	// as the key lives.
	NotAfter time.Time
	LastUsed time.Time // zero is never
}

// shown returns a key as its users see it.
func (s *Service) shown(f *store.Found, now time.Time) Key {
	record, instance := blank(f.Key), s.effective(f.Instance)
	shown := withoutSecrets(&record, s.issuable(&record), policy.StandingOf(&record, f.Workspace, instance, now))
	shown.Breaks, shown.Outdated = breaks(&record, policy.EffectiveRules(instance, f.Workspace)), s.outdated(&f.Key, now)
	shown.Secrets = make([]KeySecret, len(record.Secrets))
	for i, secret := range record.Secrets {
		shown.Secrets[i] = KeySecret{
			ID: secret.ID, Hint: secret.Hint, Prefix: secret.Prefix, CreatedBy: secret.CreatedBy, Generated: secret.Generated,
			Created: secret.Created, NotAfter: secret.NotAfter, LastUsed: secret.LastUsed,
		}
	}
	return shown
}
