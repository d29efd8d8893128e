// Package apikey creates, authenticates, changes, rotates and deletes API keys, and
// decides which tokens they get.
//
// A program logs in as a key with one of the key's credentials: a secret, a private key of
// its own of which the key has the public half, or an identity that another issuer gave it
// and that the key trusts.
//
// A Service needs a store and a catalog of permissions. Every management call names
// its Actor, whose rights are checked at each call, and policies decide as well.
// Every change is one atomic write, together with its audit event and the epoch
// that revokes tokens. The plaintext of a secret is returned once, as a Secret that
// redacts itself.
package apikey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/observe"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Config configures a Service. Permissions is required. The zero value of every
// other field is the production default.
type Config struct {
	// Permissions is the catalog of permissions that keys may hold. Required.
	Permissions *scope.Catalog
	// Policy adds rules to the administrator's settings, which always apply. For a
	// key to be stored it runs before the settings are checked, so that it may set
	// a lifetime that satisfies them. For a login or an introspection it runs after
	// the settings were checked, and only if the key is live. Nil adds no rule.
	Policy policy.Policy
	// Resources are further resource servers for which keys may be allowed to
	// request tokens (RFC 8707). Each needs an absolute URI of its own.
	Resources []Resource
	// Logger receives warnings and errors and, at level Info, whether secrets still use
	// old peppers and prefixes. Default slog.Default().
	Logger *slog.Logger
	// Observer, unless nil, is called after each decision about Credentials. An
	// accepted direct use is left to the guard's Observer (bearer.Config.Observer).
	Observer observe.Observer
	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Issuer is the issuer identifier of the authorization server: the audience of
	// assertions. Empty: every assertion is refused. With an Issuer, Store.OnceIDs is
	// required. TokenURL is the URL of the token endpoint, which
	// store.PublicKey.EndpointAudience accepts as an audience. Empty: it accepts nothing
	// more.
	Issuer, TokenURL string
	// TrustedIssuers are the issuers that trusts can name; the trust.Config.Audience must
	// be Issuer. Nil: none.
	TrustedIssuers *trust.List

	// Options are the less common settings.
	Options
}

// Options are the less common settings of a Service. A host that uses package oauth
// sets them as oauth.Config.APIKeys. The zero value of each field is the production
// default.
type Options struct {
	// DefaultKeysOff, DefaultRules and DefaultRemindersOff are the settings of an
	// instance until its administrator saves some. Zero: keys on, no limit, no
	// required expiry, reminders on if RemindBefore has any time.
	DefaultKeysOff      bool
	DefaultRules        store.Rules
	DefaultRemindersOff bool
	// Management names the permissions that let keys manage keys. Zero: keys manage
	// nothing.
	Management Management
	// Workspaces reports whether a workspace may use keys: active is false if the
	// host has suspended it or does not know it. Set it before you create the first
	// key: if it is nil, an administrator who mistypes an id creates keys in a
	// workspace that does not exist, and New logs a warning.
	//
	// A workspace that is not active, and of which the store has neither keys nor a
	// saved record, does not exist: calls that name it return store.ErrNotFound.
	// SetSuspended, SaveWorkspace, DeleteWorkspace and a restore do not check that,
	// so that the host can prepare a workspace, or delete its id, before the
	// workspace has keys. WorkspaceStanding reports such a workspace as suspended.
	//
	// Workspaces is called when a call other than SetSuspended, SaveWorkspace,
	// DeleteWorkspace and a restore names a workspace, when an actor
	// creates, rotates or enables a key, when a key acts as an Actor, and at each login,
	// direct use, revocation of a token and introspection after the credentials were verified. If it
	// returns an error, the call fails with an error that wraps
	// store.ErrUnavailable; only WorkspaceStanding ignores it.
	Workspaces func(ctx context.Context, workspace string) (active bool, err error)

	// SecretPrefixes are the texts that secrets begin with, so that scanners find
	// them. New secrets get the first prefix; all are accepted. Default "lk_". Each
	// has 1 to 32 characters of A-Z a-z 0-9 _ -, and ends with '_'.
	SecretPrefixes []string
	// Peppers are the keys of the digests of secrets: new digests use the first,
	// and all are used to verify. Keep them outside the store. If the list is
	// empty, it means NoPepper: digests are plain SHA-256, and New logs a warning.
	//
	// Deploy a new pepper in two steps: list it last, then move it to the front. A
	// login rewrites the digest that it verified if the first pepper has a higher
	// version. Remove a pepper when no digest names it any more: Prune logs that,
	// and Outdated lists the keys that are left. Replace a prefix of secrets in the
	// same two steps. No login changes it: rotate the keys that Outdated lists.
	Peppers []Pepper
	// Withdrawn names peppers and prefixes that leaked or were lost and are no
	// longer listed, although stored secrets still name them: "pepper 1", "pepper
	// 0" (NoPepper), "secret prefix lk_". These secrets are then refused like wrong
	// ones. If such an entry is neither listed nor withdrawn, New fails. For
	// package oauth it also names seal keys and signers: "seal key 1", "signer
	// 2026-03".
	Withdrawn []string
	// Imported accepts secrets that Latchkey did not generate; see Import. If
	// false, a secret that is not in Latchkey's own format is refused without a
	// read of the store.
	//
	// At most two slow digests (bcrypt, argon2id, PBKDF2) are verified at the same
	// time, and at most one per key. Keys take turns: a login waits for at most one
	// verification of each other key, and for the earlier ones of its own key. At
	// most 16 logins per key and 64 keys run or wait; a further login fails with an
	// error that wraps store.ErrUnavailable, and should be tried again. The process
	// remembers up to 16,384 correct secrets, as HMACs under a random key; their
	// next login does not wait.
	Imported bool
	// Budgets bound failed logins. Default: 120 a minute from one address, 60 from
	// one address for one key.
	Budgets Budgets
	// RefuseAfter is how long after its arrival a login with an unknown id or a
	// wrong secret or assertion is refused, so that the response time does not show which of the
	// two it was. The wait ends early if the request's context ends. A refusal that
	// needs no read of the store, such as that of a malformed secret, is sent at
	// once. If the store takes longer than RefuseAfter, or the digest is a slow one
	// (see Imported), the response time still shows it. The request stays open
	// during the wait: the server's own limits bound how many do. Default 25 ms; at
	// most 1 second; negative: off.
	RefuseAfter time.Duration

	// LongAssertions allows public keys with store.PublicKey.LongAssertions, for clients
	// that sign assertions for an hour, such as Authlib. False: the longest life is 5
	// minutes for all.
	LongAssertions bool

	// TokenLifetime is how long a token is valid. Default 5 minutes; 1 second to 24
	// hours. Policies can shorten it.
	TokenLifetime time.Duration
	// EventRetention is how long audit events are kept. Default 400 days; negative:
	// for ever.
	EventRetention time.Duration
	// UsageRetention is how long the daily counts of logins and refusals are kept,
	// if the store has Usage. Default 90 days; negative: for ever.
	UsageRetention time.Duration
	// MaxClockSkew is how much this process's clock may differ from the store's, if
	// the store has one. If it differs more, Prune deletes nothing; see
	// CheckClock. Default 1 minute; 1 second to 1 hour.
	MaxClockSkew time.Duration
	// RemindBefore is how long before a key expires reminders are sent to the host,
	// unless settings say otherwise: at most store.MaxReminders times, from 1 hour
	// to 366 days each. Empty: no reminders are sent, whatever settings say.
	// Package reminders sends them.
	RemindBefore []time.Duration

	// Random is the source of randomness for ids and secrets. Default
	// crypto/rand.Reader. If a read fails or is short, the call fails.
	Random io.Reader
}

// Management names the permissions that let a key manage keys and settings. An empty
// name allows nothing. The Admin ones, those for settings and SuspendWorkspaces apply to
// every workspace and must have the catalog's admin level, so that only an organization
// admin grants them.
type Management struct {
	List   string // see keys
	Save   string // create, change, rotate, disable, enable; add and retire credentials
	Delete string // delete
	// RotateOwn lets a key rotate what it logged in with, and nothing else: its secret with
	// a secret, or that public key. With a trust it may rotate nothing. Save includes it.
	RotateOwn string

	AdminList   string
	AdminSave   string
	AdminDelete string

	// ReadSettings lets a key read the settings of the instance and of every
	// workspace. SaveSettings and SuspendWorkspaces include it.
	ReadSettings string
	// SaveSettings lets a key replace these settings. It includes switching keys off,
	// which revokes all tokens, but it does not allow RevokeAllTokens. To preview
	// settings the key needs AdminList as well.
	SaveSettings string
	// SuspendWorkspaces lets a key suspend and resume every workspace but its own.
	SuspendWorkspaces string

	// MaxDepth bounds the chain of keys that create keys. A key that a person created
	// has depth 0, and one that a key created has the depth of that key plus 1. With
	// 1, a key that a key created can create none. Default 3; 1 to 3.
	MaxDepth int
}

// maxSecrets is how many secrets a key can hold at once; see also maxOfKind.
const maxSecrets = 8

// Service creates, authenticates and changes keys. It is safe for concurrent use. It
// starts no goroutine: call Flush every few seconds and once at the end.
type Service struct {
	store store.Store
	// reads answers the reads of logins, from a cache if the host has one.
	reads store.Reads
	cfg   Config
	// keyPolicy decides about keys to be stored: Config.Policy, then the settings.
	// A login does not use it: mustBeLive checks the settings, then askTokenPolicy
	// asks Config.Policy.
	keyPolicy  policy.Policy
	hasher     *secrets.Hasher
	inUse      inUse
	budget     *budget // of failed logins
	guesses    *budget // of failed guesses at slow digests, see checkImportedSecret
	unknown    *budget // of unknown secrets without an id, see RevokeSecret
	slow       *slowGate
	aligning   sync.Mutex // see delayRefusal
	unwritten  *unwritten
	publicKeys publicKeys
	withheld   hourly // see reportWithheld
	rehashed   hourly // digests, see rehash
	// withdrawnPrefixes are those of Config.Withdrawn.
	withdrawnPrefixes []string
}

// New checks cfg and returns a Service that uses st, in which Keys, Secrets, Workspaces,
// Upkeep, Settings, Events, Epochs and HostLists are required. It joins all problems into one
// error; each names its field.
//
// New reads from the store which peppers and prefixes are in use, that is, named by
// a stored secret or its digest. It waits up to 10 seconds for that. It fails if
// the store is unavailable, and if an entry in use is neither listed nor withdrawn
// or is listed with another key: the error names the entry and its fingerprint.
func New(st store.Store, cfg Config) (*Service, error) {
	var problems []error
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Keys", st.Keys == nil},
		{"Secrets", st.Secrets == nil},
		{"Workspaces", st.Workspaces == nil},
		{"Upkeep", st.Upkeep == nil},
		{"Settings", st.Settings == nil},
		{"Events", st.Events == nil},
		{"Epochs", st.Epochs == nil},
		{"HostLists", st.HostLists == nil},
		{"OnceIDs", st.OnceIDs == nil && cfg.Issuer != ""},
	} {
		if need.missing {
			problems = append(problems, fmt.Errorf("Store.%s is missing: set it", need.name))
		}
	}
	cfg, hash, bad := complete(cfg)
	problems = append(problems, bad...)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("apikey: %w", err)
	}
	if !hash.Keyed() {
		cfg.Logger.Warn("no pepper is set: digests of secrets are plain SHA-256; set apikey.Options.Peppers to key them")
	}
	if cfg.Workspaces == nil {
		cfg.Logger.Warn("apikey.Options.Workspaces is not set: an administrator can create keys in a workspace that does not exist; set it to a function that knows your workspaces")
	}
	// The hasher has the peppers. The Config needs them no more.
	cfg.Peppers = nil
	s := &Service{
		store:     st,
		reads:     st.Reads(),
		cfg:       cfg,
		keyPolicy: policy.All(cfg.Policy, policy.Settings()),
		hasher:    hash,
		budget:    newBudget(cfg.Budgets),
		guesses:   newBudget(cfg.Budgets),
		unknown:   newBudget(Budgets{PerAddress: cfg.Budgets.PerAddress, PerAddressAndKey: -1, Entries: cfg.Budgets.Entries}),
		slow:      newSlowGate(),
		unwritten: newUnwritten(st.Usage != nil),
	}
	for _, title := range cfg.Withdrawn {
		if prefix, ok := strings.CutPrefix(title, hostlist.Title(store.ListEntry{List: store.SecretPrefixes})); ok {
			s.withdrawnPrefixes = append(s.withdrawnPrefixes, prefix)
		}
	}
	if err := s.checkLists(); err != nil {
		return nil, err
	}
	return s, nil
}

// complete checks cfg and sets the defaults. It returns all problems.
func complete(cfg Config) (Config, *secrets.Hasher, []error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if cfg.Permissions == nil {
		add("Config.Permissions is missing: set it to the catalog of permissions")
	} else {
		problems = append(problems, cfg.Management.problems(cfg.Permissions)...)
	}
	problems = append(problems, resourceProblems(cfg.Resources, cfg.Permissions)...)
	cfg.Resources = slices.Clone(cfg.Resources)
	cfg, hash, bad := completeLists(cfg)
	problems = append(problems, bad...)
	cfg.EventRetention = cmp.Or(cfg.EventRetention, 400*24*time.Hour)
	cfg.UsageRetention = cmp.Or(cfg.UsageRetention, 90*24*time.Hour)
	for _, d := range []struct {
		field           string
		value           *time.Duration
		standard        time.Duration
		least, greatest time.Duration
	}{
		{"TokenLifetime", &cfg.TokenLifetime, 5 * time.Minute, time.Second, hostlist.LongestToken},
		{"MaxClockSkew", &cfg.MaxClockSkew, time.Minute, time.Second, maxSkew},
		{"RefuseAfter", &cfg.RefuseAfter, 25 * time.Millisecond, math.MinInt64, time.Second}, // negative: off
	} {
		if *d.value = cmp.Or(*d.value, d.standard); *d.value < d.least || *d.value > d.greatest {
			add("Config.%s is %s; it must be from %s to %s", d.field, *d.value, max(0, d.least), d.greatest)
		}
	}
	cfg.Management.MaxDepth = cmp.Or(cfg.Management.MaxDepth, maxDepth)
	if cfg.Management.MaxDepth < 1 || cfg.Management.MaxDepth > maxDepth {
		add("Config.Management.MaxDepth is %d; it must be from 1 to %d", cfg.Management.MaxDepth, maxDepth)
	}
	cfg.RemindBefore = slices.Clone(cfg.RemindBefore)
	if problem := timesProblem(cfg.RemindBefore); problem != "" {
		add("Config.RemindBefore: %s", problem)
	}
	if err := checkRules(cfg.DefaultRules, false); err != nil {
		add("Config.DefaultRules: %w", err)
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	return cfg, hash, problems
}

func (m Management) problems(catalog *scope.Catalog) []error {
	var problems []error
	for _, p := range []struct {
		field, name string
		admin       bool
	}{
		{"List", m.List, false},
		{"Save", m.Save, false},
		{"Delete", m.Delete, false},
		{"RotateOwn", m.RotateOwn, false},
		{"AdminList", m.AdminList, true},
		{"AdminSave", m.AdminSave, true},
		{"AdminDelete", m.AdminDelete, true},
		{"ReadSettings", m.ReadSettings, true},
		{"SaveSettings", m.SaveSettings, true},
		{"SuspendWorkspaces", m.SuspendWorkspaces, true},
	} {
		if p.name == "" {
			continue
		}
		known, ok := catalog.Lookup(p.name)
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("Config.Management.%s: %q is not in Config.Permissions: add it, or leave the field empty", p.field, p.name))
		case p.admin != (known.Level == scope.Admin):
			problems = append(problems, fmt.Errorf("Config.Management.%s: %q has level %s: AdminList, AdminSave, AdminDelete, ReadSettings, SaveSettings and SuspendWorkspaces need the admin level, and the other fields must not have it", p.field, p.name, known.Level))
		}
	}
	return problems
}

// Catalog returns the permissions that keys may hold.
func (s *Service) Catalog() *scope.Catalog { return s.cfg.Permissions }

// Now returns the service's time, by Config.Now. Callers use it too, so that they
// agree with the service on what is in the past.
func (s *Service) Now() time.Time { return s.now() }
