package trust

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

const (
	// clockSkew is how far the clock of an issuer may be ahead.
	clockSkew  = 30 * time.Second
	maxTokenID = 255
)

// refusal says which check an identity did not pass. Its text contains nothing of the token.
type refusal struct {
	reason string
	// passed counts the checks before: the entry, its checks, the claims of the trust. The refusal
	// of the closest trust is returned.
	passed int
}

func (r *refusal) Error() string { return ErrRefused.Error() + ": " + r.reason }

func (r *refusal) Unwrap() error { return ErrRefused }

// Find returns which of the trusts accepts the token, and the identity. It tries the keys of
// only those entries that a trust names and whose Issuer is the token's. It returns an
// error that wraps ErrRefused, or an outage (store.IsOutage) if the keys cannot be
// fetched.
func (l *List) Find(ctx context.Context, token string, trusts []store.Trust) (int, Identity, error) {
	unverified, err := jose.ParseAssertion(token)
	if err != nil {
		return 0, Identity{}, &refusal{reason: "it is not a signed JWT, or one of a kind that is not accepted"}
	}
	return l.FindParsed(ctx, unverified, trusts)
}

// FindParsed is Find for a caller in this module that has parsed the token.
func (l *List) FindParsed(ctx context.Context, unverified *jose.Unverified, trusts []store.Trust) (int, Identity, error) {
	issuer, _, err := unverified.UnverifiedParties()
	if err != nil {
		return 0, Identity{}, &refusal{reason: "its claims are malformed, or iss, sub, aud or exp is missing"}
	}
	type verification struct {
		by     *entry
		claims jose.Assertion
		err    error
	}
	verified := make([]verification, 0, 4)
	closest := &refusal{reason: "no trust names an entry with its issuer"}
	var outage error
	for i := range trusts {
		e := l.entry(trusts[i].Issuer)
		if e == nil || e.Issuer.Issuer != issuer {
			continue
		}
		at := slices.IndexFunc(verified, func(v verification) bool { return v.by == e })
		if at < 0 {
			claims, err := e.verify(ctx, unverified, &l.cfg)
			at, verified = len(verified), append(verified, verification{e, claims, err})
		}
		v := &verified[at]
		err := v.err
		if err == nil {
			err = e.match(&trusts[i], v.claims.All)
		}
		var refused *refusal
		switch {
		case err == nil:
			return i, e.identity(&v.claims), nil
		case !errors.As(err, &refused):
			outage = err
		case refused.passed > closest.passed:
			closest = refused
		}
	}
	if outage != nil { // the keys may show that a trust accepts it
		return 0, Identity{}, outage
	}
	return 0, Identity{}, closest
}

// verify checks what is the same for all trusts that name the entry: header, signature and the
// registered claims (RFC 7523, section 3).
func (e *entry) verify(ctx context.Context, unverified *jose.Unverified, cfg *Config) (c jose.Assertion, err error) {
	refuse := func(format string, args ...any) (jose.Assertion, error) {
		return jose.Assertion{}, &refusal{fmt.Sprintf(format, args...), 1}
	}
	switch {
	case !unverified.HasType(e.Types...):
		return refuse("its typ is not accepted from this issuer")
	case !slices.Contains(e.Algorithms, string(unverified.Algorithm)):
		return refuse("its alg is not accepted from this issuer")
	case unverified.KeyID == "":
		return refuse("it has no kid")
	}
	key, err := e.keys.Key(ctx, unverified.KeyID)
	switch {
	case errors.Is(err, bearer.ErrUnknownKey):
		return refuse("the issuer has no key with its kid")
	case err != nil:
		return c, fmt.Errorf("trust: the keys of %s: %w: %w", e.Name, store.ErrUnavailable, err)
	}
	c, err = unverified.VerifyAssertion(jose.PublicKey{ID: key.ID, Algorithm: jose.Algorithm(key.Algorithm), Key: key.Key})
	now := cfg.Now()
	latest := now.Add(clockSkew).Unix()
	switch {
	case err != nil:
		return refuse("its signature does not match the key")
	case len(c.Audience) != 1 || c.Audience[0] != cfg.Audience:
		return refuse("its aud is not the issuer identifier of this server alone")
	case !now.Before(time.Unix(c.Expires, 0)):
		return refuse("its exp is past")
	case c.IssuedAt == 0:
		return refuse("it has no iat")
	case c.IssuedAt > latest:
		return refuse("its iat is in the future")
	case c.NotBefore > latest:
		return refuse("its nbf is in the future")
	case c.Expires-c.IssuedAt > int64(e.MaxLifetime/time.Second):
		return refuse("it is valid for longer than %s", e.MaxLifetime)
	case e.Once && (c.TokenID == "" || len(c.TokenID) > maxTokenID):
		return refuse("its jti must have 1 to %d bytes", maxTokenID)
	}
	return c, nil
}

// match checks the claims that a trust names, and those that it must name.
func (e *entry) match(t *store.Trust, claims strictjson.Object) error {
	if len(t.Claims) == 0 {
		return &refusal{"the trust names no claim", 2}
	}
	for i := range t.Claims {
		want := &t.Claims[i]
		c := e.claim(want.Name)
		if c == nil {
			return &refusal{fmt.Sprintf("the trust names the claim %q, which the entry %s does not list", want.Name, e.Name), 2 + i}
		}
		if value, err := strictjson.String(c.value(claims)); err != nil || !c.accepts(want.Value, value) {
			return &refusal{fmt.Sprintf("its claim %q differs", want.Name), 2 + i}
		}
	}
	for i := range e.Claims {
		c := &e.Claims[i]
		value := c.value(claims)
		if value == nil || len(c.Unless) == 0 || slices.ContainsFunc(t.Claims, func(n store.Claim) bool { return n.Name == c.Name }) {
			continue
		}
		if text, err := strictjson.String(value); err != nil || slices.Contains(c.Unless, text) { // what cannot be compared is refused
			return &refusal{fmt.Sprintf("its claim %q has a value that only a trust with this claim accepts", c.Name), 2 + len(t.Claims)}
		}
	}
	return nil
}

// claim returns the claim that trusts call name, or nil.
func (e *entry) claim(name string) *Claim {
	for i := range e.Claims {
		if e.Claims[i].Name == name {
			return &e.Claims[i]
		}
	}
	return nil
}

// value returns the JSON text of the claim, or nil.
func (c *Claim) value(claims strictjson.Object) json.RawMessage {
	value, _ := claims.Get(c.Path[0])
	for _, name := range c.Path[1:] {
		inner, err := strictjson.Members(value, nil)
		if err != nil {
			return nil
		}
		value, _ = inner.Get(name)
	}
	return value
}

// accepts reports whether a trust that wants a value accepts a token's.
func (c *Claim) accepts(want, value string) bool {
	if prefix, ok := c.wildcard(want); ok {
		return len(value) > len(prefix) && strings.HasPrefix(value, prefix)
	}
	return value == want
}

// wildcard returns what stands before the "*" of a value, if that is a whole last segment behind
// enough others. Empty segments do not count.
func (c *Claim) wildcard(value string) (prefix string, ok bool) {
	prefix, ok = strings.CutSuffix(value, "*")
	if !ok || c.Prefix == 0 || !strings.HasSuffix(prefix, "/") && !strings.HasSuffix(prefix, ":") {
		return "", false
	}
	before := strings.FieldsFunc(prefix, func(r rune) bool { return r == '/' || r == ':' })
	return prefix, len(before) >= c.Prefix
}

// identity returns what the token says.
func (e *entry) identity(c *jose.Assertion) Identity {
	id := Identity{Issuer: c.Issuer, Subject: c.Subject, Expires: time.Unix(c.Expires, 0).UTC()}
	all := c.All
	id.Claims = func() map[string]any {
		claims := make(map[string]any, len(all))
		for _, m := range all {
			var value any
			if json.Unmarshal(m.Value, &value) == nil { // otherwise a number that is too large
				claims[m.Name] = value
			}
		}
		return claims
	}
	if e.Once {
		id.OnceID = c.TokenID
	}
	return id
}
