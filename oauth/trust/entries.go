package trust

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
)

// Bounds of an Issuer.
const (
	maxIssuers   = 100
	maxClaims    = 32 // that trusts may name
	maxText      = 512
	maxPath      = 8
	maxPorts     = 16
	maxSegments  = 16
	minLifetime  = time.Minute
	maxLifetime  = 366 * 24 * time.Hour
	minStale     = bearer.DefaultRefresh
	maxStale     = 30 * 24 * time.Hour
	fetchTimeout = 5 * time.Second
)

// New checks the entries and returns their list. It makes no request. It joins all problems into
// one error, each naming its field.
func New(issuers []Issuer, cfg Config) (*List, error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &List{cfg: cfg, byName: make(map[string]*entry, len(issuers))}
	var problems []error
	if len(issuers) > maxIssuers {
		return nil, fmt.Errorf("trust: TrustedIssuers: has %d entries, at most %d are allowed", len(issuers), maxIssuers)
	}
	if len(issuers) > 0 && cfg.Audience == "" {
		problems = append(problems, errors.New("Audience: is empty"))
	}
	for i, issuer := range issuers {
		e := &entry{Issuer: issuer.clone()}
		e.setDefaults()
		found := e.check()
		if l.byName[e.Name] != nil {
			found.add("Name", "is used twice")
		}
		if err := e.findKeys(&cfg); err != nil {
			found = append(found, err)
		}
		for _, err := range found {
			problems = append(problems, fmt.Errorf("TrustedIssuers[%d].%w", i, err))
		}
		l.entries, l.byName[e.Name] = append(l.entries, e), e
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
	if e.Algorithms == nil {
		e.Algorithms = []string{"RS256", "ES256"}
	}
	if e.Types == nil {
		e.Types = []string{"JWT", ""}
	}
	for i := range e.Claims {
		if c := &e.Claims[i]; c.Path == nil {
			c.Path = []string{c.Name}
		}
	}
	for _, name := range e.Algorithms {
		e.algorithms = append(e.algorithms, jose.Algorithm(name))
	}
}

// fieldErrors are problems, each with the name of its field.
type fieldErrors []error

func (f *fieldErrors) add(field, format string, args ...any) {
	*f = append(*f, fmt.Errorf(field+": "+format, args...))
}

func (f *fieldErrors) addIf(wrong bool, field, format string, args ...any) {
	if wrong {
		f.add(field, format, args...)
	}
}

// check checks the fields but those about keys.
func (e *entry) check() (bad fieldErrors) {
	bad.addIf(!isName(e.Name, 32, "abcdefghijklmnopqrstuvwxyz0123456789-"), "Name", "must have 1 to 32 characters of a-z 0-9 -")
	bad.addIf(!isText(e.Title), "Title", "must have at most %d printable bytes", maxText)
	bad.addIf(!isText(e.Issuer.Issuer), "Issuer", "must have 1 to %d printable bytes", maxText)
	bad.addIf(len(e.Algorithms) == 0, "Algorithms", "is empty")
	for _, a := range e.algorithms {
		bad.addIf(!a.Known() || a == jose.HS256, "Algorithms", "may have ES256, RS256, PS256 and EdDSA only")
	}
	bad.addIf(len(e.Types) == 0, "Types", "is empty")
	for _, t := range e.Types {
		bad.addIf(t != "" && !isText(t), "Types", "has a type that is not printable or too long")
		bad.addIf((&jose.Unverified{Type: t}).HasType("at+jwt"), "Types", "may not have at+jwt, the type of access tokens")
	}
	bad.addIf(e.MaxLifetime < minLifetime || e.MaxLifetime > maxLifetime, "MaxLifetime", "must be %s to %s", minLifetime, maxLifetime)
	bad.addIf(len(e.Claims) == 0 || len(e.Claims) > maxClaims, "Claims", "must have 1 to %d claims", maxClaims)
	immutable := false
	for i := range e.Claims {
		c := &e.Claims[i]
		field := fmt.Sprintf("Claims[%d].", i)
		bad.addIf(!isName(c.Name, 64, claimNameCharacters), field+"Name", "must have 1 to 64 characters of a-z A-Z 0-9 _ -")
		first, _ := e.claim(c.Name)
		bad.addIf(first != c, field+"Name", "is used twice")
		bad.addIf(len(c.Path) == 0 || len(c.Path) > maxPath || !allTexts(c.Path), field+"Path", "must have 1 to %d names", maxPath)
		bad.addIf(c.Prefix < 0 || c.Prefix > maxSegments, field+"Prefix", "must be 0 to %d", maxSegments)
		bad.addIf(!allTexts(c.Unless), field+"Unless", "each value must have 1 to %d printable bytes", maxText)
		bad.addIf(c.Help != "" && !isText(c.Help), field+"Help", "must have at most %d printable bytes", maxText)
		immutable = immutable || c.Immutable
	}
	bad.addIf(e.Shared && !immutable, "Claims", "one must be Immutable, because the issuer is Shared")
	for _, name := range e.OneOf {
		_, ok := e.claim(name)
		bad.addIf(!ok, "OneOf", "has a name that is not in Claims")
	}
	return bad
}

const claimNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

func isName(text string, longest int, characters string) bool {
	return text != "" && len(text) <= longest && strings.Trim(text, characters) == ""
}

// isText reports whether a text has 1 to maxText bytes of UTF-8, all printable.
func isText(text string) bool {
	return text != "" && len(text) <= maxText && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func allTexts(texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !isText(text) })
}

// findKeys checks the fields about keys and sets keys and remote.
func (e *entry) findKeys(cfg *Config) error {
	var bad fieldErrors
	bad.addIf(e.MaxStale < minStale || e.MaxStale > maxStale, "MaxStale", "must be %s to %s", minStale, maxStale)
	bad.addIf(len(e.Ports) > maxPorts, "Ports", "has more than %d", maxPorts)
	for _, port := range e.Ports {
		bad.addIf(port < 1 || port > 65535, "Ports", "%d is not a port", port)
	}
	bad.addIf(e.JWKS != nil && e.JWKSURL != "", "JWKS", "is set, and so JWKSURL must be empty")
	if len(bad) > 0 {
		return errors.Join(bad...)
	}
	var err error
	if e.JWKS != nil {
		if e.keys, err = bearer.StaticKeys(e.JWKS); err != nil {
			return fmt.Errorf("JWKS: %w", err)
		}
		return nil
	}
	field, address := "JWKSURL", e.JWKSURL
	remote := bearer.RemoteKeysConfig{
		URL: e.JWKSURL, Parse: parseKeys, Timeout: fetchTimeout,
		Retry: bearer.DefaultCooldown, MaxStale: e.MaxStale, Now: cfg.Now, Logger: cfg.Logger,
	}
	if address == "" {
		field, address, remote.Issuer = "Issuer", e.Issuer.Issuer, e.Issuer.Issuer
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("%s: is not a URL", field)
	}
	if remote.Issuer != "" && (u.RawQuery != "" || u.ForceQuery) {
		return errors.New("Issuer: may not have a query")
	}
	remote.InsecureLoopback = cfg.InsecureLoopback && u.Scheme == "http"
	remote.Client = e.client(remote.InsecureLoopback)
	if e.remote, err = bearer.NewRemoteKeys(remote); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if port, err := strconv.Atoi(cmp.Or(u.Port(), "443")); err != nil || !remote.InsecureLoopback && !e.allowsPort(port) {
		return fmt.Errorf("%s: its port is not in Ports", field)
	}
	e.keys = e.remote
	return nil
}

// parseKeys reads the answer of an issuer. Its errors contain nothing of the answer.
func parseKeys(answer []byte) (map[string]bearer.PublicKey, error) {
	usable, err := jose.UsableKeys(answer)
	if err != nil {
		return nil, errors.New("the issuer's answer is not a key set of at most 64 KiB and 100 keys")
	}
	if len(usable) == 0 {
		return nil, errors.New("the issuer's key set has no usable key")
	}
	keys := make(map[string]bearer.PublicKey, len(usable))
	for _, key := range usable {
		keys[key.ID] = bearer.PublicKey{ID: key.ID, Algorithm: string(key.Algorithm), Key: key.Key}
	}
	return keys, nil
}
