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

const (
	maxIssuers   = 100
	maxText      = 512 // bytes
	fetchTimeout = 5 * time.Second

	lowercase = "abcdefghijklmnopqrstuvwxyz"
	digits    = "0123456789"
)

// New checks the entries and returns their list. It makes no request. It joins all problems into
// one error, each naming its field. The slices of the entries must not be changed after it.
func New(issuers []Issuer, cfg Config) (*List, error) {
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &List{cfg: cfg, byName: make(map[string]*entry, len(issuers))}
	var problems []error
	addIf := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	addIf(len(issuers) > maxIssuers, "TrustedIssuers: has more than %d entries", maxIssuers)
	addIf(len(issuers) > 0 && cfg.Audience == "", "Audience: is empty")
	for i, issuer := range issuers[:min(len(issuers), maxIssuers)] {
		e := &entry{Issuer: issuer}
		e.setDefaults()
		e.check(func(wrong bool, field, format string, args ...any) {
			addIf(wrong, "TrustedIssuers[%d].%s: %w", i, field, fmt.Errorf(format, args...))
		})
		addIf(l.byName[e.Name] != nil, "TrustedIssuers[%d].Name: is used twice", i)
		if err := e.setKeys(&cfg); err != nil {
			addIf(true, "TrustedIssuers[%d].%w", i, err)
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
	e.Claims = slices.Clone(e.Claims)
	for i := range e.Claims {
		if c := &e.Claims[i]; c.Path == nil {
			c.Path = []string{c.Name}
		}
	}
}

// check checks the fields but those about keys.
func (e *entry) check(badIf func(wrong bool, field, format string, args ...any)) {
	const text = "must have at most %d printable bytes"
	badIf(!isName(e.Name, 32, lowercase+digits+"-"), "Name", "must have 1 to 32 characters of a-z 0-9 -")
	badIf(!isText(e.Title), "Title", text, maxText)
	badIf(!isText(e.Issuer.Issuer), "Issuer", "must have 1 to %d printable bytes", maxText)
	badIf(len(e.Algorithms) == 0 || slices.ContainsFunc(e.Algorithms, func(a string) bool { return !jose.Algorithm(a).Known() || a == string(jose.HS256) }),
		"Algorithms", "must be some of ES256, RS256, PS256 and EdDSA")
	badIf(len(e.Types) == 0 || slices.ContainsFunc(e.Types, func(t string) bool { return t != "" && !isText(t) }), "Types", "must have texts of at most %d printable bytes", maxText)
	badIf(slices.ContainsFunc(e.Types, func(t string) bool { return (&jose.Unverified{Type: t}).HasType("at+jwt") }), "Types", "may not have at+jwt, the type of access tokens")
	badIf(e.MaxLifetime < time.Minute || e.MaxLifetime > 366*24*time.Hour, "MaxLifetime", "must be 1 minute to 366 days")
	badIf(len(e.Claims) == 0 || len(e.Claims) > 32, "Claims", "must have 1 to 32 claims")
	for i := range e.Claims {
		c := &e.Claims[i]
		field := fmt.Sprintf("Claims[%d].", i)
		badIf(!isName(c.Name, 64, lowercase+strings.ToUpper(lowercase)+digits+"_-"), field+"Name", "must have 1 to 64 characters of a-z A-Z 0-9 _ -")
		badIf(e.claim(c.Name) != c, field+"Name", "is used twice")
		badIf(len(c.Path) == 0 || len(c.Path) > 8 || !areTexts(c.Path), field+"Path", "must have 1 to 8 names of at most %d printable bytes", maxText)
		badIf(c.Prefix < 0 || c.Prefix > 16, field+"Prefix", "must be 0 to 16")
		badIf(!areTexts(c.Unless), field+"Unless", "must have values of 1 to %d printable bytes", maxText)
		badIf(c.Help != "" && !isText(c.Help), field+"Help", text, maxText)
	}
	badIf(e.Shared && e.claimNames(true) == "", "Claims", "one must be Immutable, because the issuer is Shared")
	badIf(slices.ContainsFunc(e.OneOf, func(name string) bool { return e.claim(name) == nil }), "OneOf", "has a name that is not in Claims")
}

func isName(text string, longest int, characters string) bool {
	return text != "" && len(text) <= longest && strings.Trim(text, characters) == ""
}

// isText reports whether a text has 1 to maxText bytes of UTF-8, all printable.
func isText(text string) bool {
	return text != "" && len(text) <= maxText && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func areTexts(texts []string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return !isText(text) })
}

// setKeys checks the fields about keys and sets keys and remote.
func (e *entry) setKeys(cfg *Config) (err error) {
	switch {
	case e.MaxStale < bearer.DefaultRefresh || e.MaxStale > 30*24*time.Hour:
		return errors.New("MaxStale: must be 5 minutes to 30 days")
	case len(e.Ports) > 16 || slices.ContainsFunc(e.Ports, func(port int) bool { return port < 1 || port > 65535 }):
		return errors.New("Ports: must be at most 16 of 1 to 65535")
	case e.JWKS != nil && e.JWKSURL != "":
		return errors.New("JWKSURL: must be empty, because JWKS is set")
	case e.JWKS != nil:
		if e.keys, err = bearer.StaticKeys(e.JWKS); err != nil {
			return fmt.Errorf("JWKS: %w", err)
		}
		return nil
	}
	remote := bearer.RemoteKeysConfig{
		URL: e.JWKSURL, Parse: parseKeys, Timeout: fetchTimeout, Retry: bearer.DefaultCooldown, MaxStale: e.MaxStale, Now: cfg.Now, Logger: cfg.Logger,
	}
	field := "JWKSURL"
	if e.JWKSURL == "" {
		field, remote.Issuer = "Issuer", e.Issuer.Issuer
	}
	u, err := url.Parse(cmp.Or(e.JWKSURL, e.Issuer.Issuer))
	if err != nil {
		return fmt.Errorf("%s: is not a URL", field)
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
	if err != nil || len(usable) == 0 {
		return nil, errors.New("the issuer's answer is not a key set of at most 64 KiB and 100 keys, or none of them is usable")
	}
	keys := make(map[string]bearer.PublicKey, len(usable))
	for _, key := range usable {
		keys[key.ID] = bearer.PublicKey{ID: key.ID, Algorithm: string(key.Algorithm), Key: key.Key}
	}
	return keys, nil
}
