// Package apikey is the life of an API key: made, authenticated, changed,
// rotated, ended, always under policy and always by someone who may.
//
// A Service stands on a store and a catalog of permissions. Every management
// call names its Actor; what that actor may do is decided at that moment.
// Every change is one atomic write that carries its event and raises the
// epochs that end tokens. Secrets leave the package once, as a Secret that
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
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/policy"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// Config describes a Service. The zero value of each field is the production
// default, but for Permissions, which is required.
type Config struct {
	// Permissions is the catalog of permissions that keys may hold. Required.
	Permissions *scope.Catalog
	// Policy decides besides the administrator's settings, which always apply. It
	// is asked about a key to be stored before they are, so that a default lifetime
	// may satisfy them, and about a login or an introspection once they have found
	// the key live. Nil adds no rule.
	Policy policy.Policy
	// Resources are further resource servers that keys can be allowed to ask
	// tokens for (RFC 8707). Each needs an absolute URI of its own.
	Resources []Resource
	// Logger takes warnings and errors. Default slog.Default().
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Options adjust the rest.
	Options
}

// Options adjust a Service further, by itself or within package oauth. The zero
// value of each field is the production default.
type Options struct {
	// DefaultKeysOff, DefaultRules and DefaultRemindersOff are the settings of an
	// instance whose administrator never saved any. Zero: keys on, no limit, no
	// forced expiry, reminders on if RemindBefore names any time.
	DefaultKeysOff      bool
	DefaultRules        store.Rules
	DefaultRemindersOff bool
	// Management names the permissions by which keys manage keys. Zero: keys
	// manage nothing.
	Management Management
	// Workspaces, unless nil, is how the host says whether a workspace may use keys:
	// active is false for one that is suspended or that the host does not know. Any
	// error is an outage. It is called when a key is made or revived, and at each login
	// after the secret was proved.
	Workspaces func(ctx context.Context, workspace string) (active bool, err error)

	// SecretPrefixes begin secrets, so that scanners find them: the first begins
	// new ones, all are accepted. Default "lk_"; 1 to 32 characters of A-Z a-z
	// 0-9 _ -, the last one '_'.
	SecretPrefixes []string
	// Peppers key the digests of secrets: the first is used for new ones, all
	// verify. Keep them outside the store. Without any, the list is NoPepper,
	// digests are plain SHA-256 and New warns.
	//
	// A new pepper is rolled out in two deploys: listed last, then moved to the
	// front. A login rewrites the digest that it verified if the first pepper has
	// a higher version. A pepper can be taken out when no digest names it any
	// more: see Prune, which says so, and Outdated, which lists what is left.
	// Prefixes of secrets are replaced in the same way.
	Peppers []Pepper
	// Withdrawn names peppers and prefixes that leaked or were lost, and so are not
	// listed although stored secrets still name them: "pepper 1", "pepper 0"
	// (NoPepper), "secret prefix lk_". These secrets are then refused as wrong ones
	// are. Without it New fails, see there. For package oauth it names seal keys and
	// signers, too: "seal key 1", "signer 2026-03".
	Withdrawn []string
	// Imported accepts secrets that Latchkey did not generate, as Import
	// brings them. While false, whatever is not of Latchkey's own format is
	// refused before any read.
	//
	// Of slow digests (bcrypt, argon2id, PBKDF2) two are verified at once, one
	// of each key, and keys take turns: a login waits for at most one
	// verification of each other key and for those of its own key before it.
	// 16 logins of one key run or wait, and 64 keys; beyond that a login gets an
	// outage and is to be repeated. Of up to 16,384 secrets that were right
	// the process remembers an HMAC under a random key, so that their next
	// login waits for nothing.
	Imported bool
	// Budgets bound failed logins. Zero: 120 a minute from one address, 60
	// from one address for one key.
	Budgets Budgets
	// RefuseAfter is how long after a login came in an unknown id or a wrong
	// secret is refused, so that the time does not tell which of them it was.
	// It ends with the request's context. What is refused without a read, such
	// as a malformed secret, is refused at once. A store that takes longer
	// than this still tells by its time, and so does a slow digest (see
	// Imported). A refusal that waits holds its request: how many wait at once
	// is for the server's own limits. Default 25 ms; at most 1 second;
	// negative: off.
	RefuseAfter time.Duration

	// TokenLifetime is how long a token lives. Default 5 minutes; 1 second to
	// 24 hours. Policies can shorten it.
	TokenLifetime time.Duration
	// EventRetention is how long events are kept. Default 400 days; negative
	// keeps them for ever.
	EventRetention time.Duration
	// UsageRetention is how long the counts of logins and refusals by day are
	// kept, if the store keeps any. Default 90 days; negative keeps them for
	// ever.
	UsageRetention time.Duration
	// MaxClockSkew is how far this process's clock may be from the store's, if
	// the store has one. Beyond that Prune deletes nothing; see ClockAgrees.
	// Default 1 minute; 1 second to 1 hour.
	MaxClockSkew time.Duration
	// RemindBefore is how long before the end of a key the host is told of it,
	// unless settings say otherwise: at most store.MaxReminders times, from 1 hour
	// to 366 days each. Empty: nobody is told, whatever settings say. Package
	// reminders does it.
	RemindBefore []time.Duration

	// Observer, unless nil, is called with every login and refusal, after the
	// decision. It must not block.
	Observer func(Observation)
	// Random is the source of ids and secrets. Default crypto/rand.Reader. A
	// read that fails or falls short fails the call.
	Random io.Reader
}

// Management names the permissions by which a key manages keys. A name left
// empty allows nothing. The Admin ones reach every workspace and must be of
// the catalog's admin level.
type Management struct {
	List   string // see keys
	Save   string // make, change, rotate, retire, disable, enable
	Delete string // delete
	// RotateOwn lets a key rotate its own secret, and no more.
	RotateOwn string

	AdminList   string
	AdminSave   string
	AdminDelete string

	// MaxDepth is how many keys may stand between a key and a person: with 1 a
	// key that a key made makes none itself. Default 3; 1 to 3.
	MaxDepth int
}

// maxSecrets is how many secrets a key can hold at once.
const maxSecrets = 8

// Service makes, authenticates and changes keys. It is safe for concurrent
// use. It starts no goroutine: who embeds it calls Flush now and then, and
// once at the end.
type Service struct {
	store store.Store
	// reads are those of logins, from memory where the host keeps a cache.
	reads store.Reads
	cfg   Config
	// keyPolicy decides about keys to be stored: Config.Policy, then the settings. Of
	// logins Config.Policy alone is asked.
	keyPolicy policy.Policy
	hasher    *secrets.Hasher
	inUse     inUse
	budget    *budget
	guesses   *budget // at slow digests
	slow      *slowGate
	aligning  sync.Mutex // see hold
	unwritten *unwritten
	withheld  hourly // see reportWithheld
}

// New checks cfg and returns a Service on st, which needs Keys, Upkeep,
// Settings, Events, Epochs and Lists. All problems are joined into one error,
// each naming its field.
//
// New reads which peppers and prefixes of secrets are in use and waits up to 10
// seconds for that. It fails if the store cannot be reached, and if one in use is
// neither listed nor withdrawn or is listed with another key: the error names it
// and its fingerprint. In use is what a digest or a secret in the store names.
func New(st store.Store, cfg Config) (*Service, error) {
	var problems []error
	for _, need := range []struct {
		name    string
		missing bool
	}{
		{"Keys", st.Keys == nil},
		{"Upkeep", st.Upkeep == nil},
		{"Settings", st.Settings == nil},
		{"Events", st.Events == nil},
		{"Epochs", st.Epochs == nil},
		{"Lists", st.Lists == nil},
	} {
		if need.missing {
			problems = append(problems, fmt.Errorf("Store.%s is missing", need.name))
		}
	}
	cfg, hash, bad := complete(cfg)
	problems = append(problems, bad...)
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("apikey: %w", err)
	}
	if !hash.Keyed() {
		cfg.Logger.Warn("no pepper is set: digests of secrets are plain SHA-256; set Config.Peppers to key them")
	}
	// What is printed by accident must not show them.
	cfg.Peppers = nil
	s := &Service{
		store:     st,
		reads:     st.Reads(),
		cfg:       cfg,
		keyPolicy: policy.All(cfg.Policy, policy.Settings()),
		hasher:    hash,
		budget:    newBudget(cfg.Budgets),
		guesses:   newBudget(cfg.Budgets),
		slow:      newSlowGate(),
		unwritten: newUnwritten(st.Usage != nil),
	}
	if err := s.startLists(); err != nil {
		return nil, fmt.Errorf("apikey: %w", err)
	}
	return s, nil
}

func complete(cfg Config) (Config, *secrets.Hasher, []error) {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if cfg.Permissions == nil {
		add("Config.Permissions is missing: the catalog of permissions")
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
		otherwise       time.Duration
		least, greatest time.Duration
	}{
		{"TokenLifetime", &cfg.TokenLifetime, 5 * time.Minute, time.Second, hostlist.LongestToken},
		{"MaxClockSkew", &cfg.MaxClockSkew, time.Minute, time.Second, time.Hour},
		{"RefuseAfter", &cfg.RefuseAfter, 25 * time.Millisecond, math.MinInt64, time.Second}, // negative: off
	} {
		if *d.value = cmp.Or(*d.value, d.otherwise); *d.value < d.least || *d.value > d.greatest {
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
	var rules InvalidError
	if checkRules(&rules, cfg.DefaultRules, false); len(rules.Problems) > 0 {
		add("Config.DefaultRules: %w", &rules)
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
	} {
		if p.name == "" {
			continue
		}
		known, ok := catalog.Lookup(p.name)
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("Config.Management.%s: %q is not in Config.Permissions", p.field, p.name))
		case p.admin != (known.Level == scope.Admin):
			problems = append(problems, fmt.Errorf("Config.Management.%s: %q has level %s", p.field, p.name, known.Level))
		}
	}
	return problems
}

// Observation is one login or refusal, as it happens.
type Observation struct {
	Time time.Time
	// Refused is false for a login.
	Refused bool
	// Reason says why not: "unknown_or_wrong", "malformed_secret",
	// "throttled", "disabled", "expired", "suspended", "keys_off", "policy",
	// "scope", "resource" or "unavailable".
	Reason string
	// KeyID and Workspace are set once the secret is proved.
	KeyID     string
	Workspace string
	Address   netip.Addr
}

// Catalog returns the permissions that keys may hold.
func (s *Service) Catalog() *scope.Catalog { return s.cfg.Permissions }

// Now returns the service's time, by Config.Now: what "in the past" means to
// its callers too.
func (s *Service) Now() time.Time { return s.now() }
