package trust

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
)

const fetchTimeout = 5 * time.Second

// New checks the entries and returns their list. It makes no request. It joins all problems into
// one error, each naming its field. The slices of the entries must not be changed after it.
func New(issuers []Issuer, cfg Config) (*List, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &List{cfg: cfg}
	var problems []error
	if len(issuers) > 0 && cfg.Audience == "" {
		problems = append(problems, errors.New("Audience: is empty"))
	}
	for i, issuer := range issuers {
		e := &entry{Issuer: issuer}
		e.setDefaults()
		for _, err := range append(e.problems(l), e.setKeys(&cfg)) {
			if err != nil {
				problems = append(problems, fmt.Errorf("TrustedIssuers[%d].%w", i, err))
			}
		}
		l.entries = append(l.entries, e)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return l, nil
}

func (e *entry) setDefaults() {
	e.Title = cmp.Or(e.Title, e.Name)
	e.MaxStale = cmp.Or(e.MaxStale, bearer.DefaultMaxStale)
	e.MaxLifetime = cmp.Or(e.MaxLifetime, time.Hour)
	if len(e.Algorithms) == 0 {
		e.Algorithms = []string{"RS256", "ES256"}
	}
	if len(e.Types) == 0 {
		e.Types = []string{"JWT", ""}
	}
	e.Claims = slices.Clone(e.Claims)
	for i := range e.Claims {
		if c := &e.Claims[i]; len(c.Path) == 0 {
			c.Path = []string{c.Name}
		}
	}
}

// problems says what makes the entry unsafe or unusable in the list before it, but for its
// keys.
func (e *entry) problems(before *List) (problems []error) {
	isOther := func(alg string) bool { return !slices.Contains([]string{"ES256", "RS256", "PS256", "EdDSA"}, alg) }
	isNoClaim := func(name string) bool { return e.claim(name) == nil }
	for _, rule := range []rule{
		{!isName(e.Name), "Name: must have 1 to 32 characters of a-z 0-9 -"},
		{before.entry(e.Name) != nil, "Name: is used twice"},
		{e.Issuer.Issuer == "", "Issuer: is empty"},
		{slices.ContainsFunc(e.Algorithms, isOther), "Algorithms: must be some of ES256, RS256, PS256 and EdDSA"},
		{e.MaxLifetime < time.Minute || e.MaxLifetime > 366*24*time.Hour, "MaxLifetime: must be 1 minute to 366 days"},
		{len(e.Claims) == 0, "Claims: is empty"},
		{e.Shared && e.claimNames(true) == "", "Claims: one must be Immutable, because the issuer is Shared"},
		{slices.ContainsFunc(e.OneOf, isNoClaim), "OneOf: has a name that is not in Claims"},
	} {
		if rule.broken {
			problems = append(problems, errors.New(rule.text))
		}
	}
	for i := range e.Claims {
		if c := &e.Claims[i]; !isText(c.Name, maxClaimName) || e.claim(c.Name) != c {
			problems = append(problems, fmt.Errorf("Claims[%d].Name: is used twice, or has not 1 to %d printable bytes", i, maxClaimName))
		}
	}
	return problems
}

// setKeys checks the fields about keys and sets keys.
func (e *entry) setKeys(cfg *Config) (err error) {
	if e.JWKS != nil {
		if e.keys, err = bearer.StaticKeys(e.JWKS); err != nil {
			return fmt.Errorf("JWKS: %w", err)
		}
		return nil
	}
	field := "JWKSURL"
	if e.JWKSURL == "" {
		field = "Issuer"
	}
	u, err := url.Parse(cmp.Or(e.JWKSURL, e.Issuer.Issuer))
	if err != nil {
		return fmt.Errorf("%s: is not a URL", field)
	}
	local := cfg.InsecureLoopback && u.Scheme == "http"
	e.keys, err = bearer.NewRemoteKeys(bearer.RemoteKeysConfig{
		URL: e.JWKSURL, Issuer: e.Issuer.Issuer, SkipWrong: true, InsecureLoopback: local, Client: e.client(local),
		Timeout: fetchTimeout, Retry: bearer.DefaultCooldown, MaxStale: e.MaxStale, Now: cfg.Now, Logger: cfg.Logger,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if port, err := strconv.Atoi(cmp.Or(u.Port(), "443")); err != nil || !local && !e.allowsPort(port) {
		return fmt.Errorf("%s: its port is not in Ports", field)
	}
	return nil
}
