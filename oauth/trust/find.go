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
	passed int // how many checks were passed before; the refusal of the closest trust is returned
}

func (r *refusal) Error() string { return ErrRefused.Error() + ": " + r.reason }

func (r *refusal) Unwrap() error { return ErrRefused }

// The first checks, in order. The claims that a trust names come after them.
const (
	atIssuer = iota
	atHeader
	atKey
	atSignature
	atClaims
	atTrust
)

// Find returns which of the trusts accepts the token, and the identity. It tries the keys of
// only those entries that a trust names and whose Issuer is the token's. It returns an
// error that wraps ErrRefused, or an outage (store.IsOutage) if the keys cannot be
// fetched.
func (l *List) Find(ctx context.Context, token string, trusts []store.Trust) (int, Identity, error) {
	unverified, err := jose.ParseAssertion(token)
	if err != nil {
		return 0, Identity{}, &refusal{reason: "it is not a signed JWT, or one of a kind that is not accepted"}
	}
	issuer, _, err := unverified.UnverifiedParties()
	if err != nil {
		return 0, Identity{}, &refusal{reason: "its claims are malformed, or iss, sub, aud or exp is missing"}
	}
	closest := &refusal{reason: "no trust names an entry with its issuer"}
	var outage error
	verified := make([]verification, 0, 4)
	for i := range trusts {
		e := l.entry(trusts[i].Issuer)
		if e == nil || e.Issuer.Issuer != issuer {
			continue
		}
		at := slices.IndexFunc(verified, func(v verification) bool { return v.by == e })
		if at < 0 {
			at = len(verified)
			verified = append(verified, l.verify(ctx, e, unverified))
		}
		v := &verified[at]
		err := v.err
		if err == nil {
			if err = e.match(&trusts[i], v.claims.All); err == nil {
				return i, e.identity(&v.claims), nil
			}
		}
		var refused *refusal
		switch {
		case !errors.As(err, &refused):
			outage = err
		case refused.passed > closest.passed:
			closest = refused
		}
	}
	if outage != nil {
		return 0, Identity{}, outage
	}
	return 0, Identity{}, closest
}

// verification is what an entry says about a token, whatever the trust.
type verification struct {
	by     *entry
	claims jose.Assertion
	err    error
}

func (l *List) verify(ctx context.Context, e *entry, unverified *jose.Unverified) verification {
	claims, err := e.verify(ctx, unverified)
	if err == nil {
		if reason := e.checkClaims(&claims, l.cfg.Audience, l.cfg.Now()); reason != "" {
			err = &refusal{reason, atClaims}
		}
	}
	return verification{e, claims, err}
}

// verify checks header and signature.
func (e *entry) verify(ctx context.Context, unverified *jose.Unverified) (jose.Assertion, error) {
	switch {
	case !unverified.HasType(e.Types...):
		return jose.Assertion{}, &refusal{"its typ is not accepted from this issuer", atHeader}
	case !slices.Contains(e.algorithms, unverified.Algorithm):
		return jose.Assertion{}, &refusal{"its alg is not accepted from this issuer", atHeader}
	case unverified.KeyID == "":
		return jose.Assertion{}, &refusal{"it has no kid", atHeader}
	}
	key, err := e.keys.Key(ctx, unverified.KeyID)
	switch {
	case errors.Is(err, bearer.ErrUnknownKey):
		return jose.Assertion{}, &refusal{"the issuer has no key with its kid", atKey}
	case err != nil:
		return jose.Assertion{}, fmt.Errorf("trust: the keys of %s: %w: %w", e.Name, store.ErrUnavailable, err)
	}
	payload, err := unverified.Verify(jose.PublicKey{ID: key.ID, Algorithm: jose.Algorithm(key.Algorithm), Key: key.Key})
	if err != nil {
		return jose.Assertion{}, &refusal{"its signature does not match the key", atSignature}
	}
	claims, err := jose.ReadAssertion(payload)
	if err != nil {
		return jose.Assertion{}, &refusal{"its claims are malformed, or iss, sub, aud or exp is missing", atClaims}
	}
	return claims, nil
}

// checkClaims checks the claims that are the same for all trusts (RFC 7523, section 3). It returns
// what is wrong.
func (e *entry) checkClaims(c *jose.Assertion, audience string, now time.Time) string {
	latest := now.Add(clockSkew).Unix()
	switch {
	case len(c.Audience) != 1 || c.Audience[0] != audience:
		return "its aud is not the issuer identifier of this server alone"
	case !now.Before(time.Unix(c.Expires, 0)):
		return "its exp is past"
	case c.IssuedAt == 0:
		return "it has no iat"
	case c.IssuedAt > latest:
		return "its iat is in the future"
	case c.NotBefore > latest:
		return "its nbf is in the future"
	case c.Expires-c.IssuedAt > int64(e.MaxLifetime/time.Second):
		return fmt.Sprintf("it is valid for longer than %s", e.MaxLifetime)
	case e.Once && (c.TokenID == "" || len(c.TokenID) > maxTokenID):
		return fmt.Sprintf("its jti must have 1 to %d bytes", maxTokenID)
	}
	return ""
}

// match checks the claims that a trust names, and those that it must name.
func (e *entry) match(t *store.Trust, claims strictjson.Object) error {
	if len(t.Claims) == 0 {
		return &refusal{"the trust names no claim", atTrust}
	}
	for i := range t.Claims {
		want := &t.Claims[i]
		c, ok := e.claim(want.Name)
		if !ok {
			return &refusal{fmt.Sprintf("the trust names the claim %q, which the entry %s does not list", want.Name, e.Name), atTrust + i}
		}
		value, _ := c.value(claims)
		text, err := strictjson.String(value)
		if err != nil || !c.accepts(want.Value, text) {
			return &refusal{fmt.Sprintf("its claim %q differs", want.Name), atTrust + i}
		}
	}
	for i := range e.Claims {
		c := &e.Claims[i]
		if len(c.Unless) == 0 || slices.ContainsFunc(t.Claims, func(n store.Claim) bool { return n.Name == c.Name }) {
			continue
		}
		value, ok := c.value(claims)
		text, err := strictjson.String(value)
		if ok && (err != nil || slices.Contains(c.Unless, text)) { // what cannot be compared is refused
			return &refusal{fmt.Sprintf("its claim %q has a value that only a trust with this claim accepts", c.Name), atTrust + len(t.Claims)}
		}
	}
	return nil
}

// value returns the JSON text of the claim.
func (c *Claim) value(claims strictjson.Object) (json.RawMessage, bool) {
	last := len(c.Path) - 1
	for _, name := range c.Path[:last] {
		value, _ := claims.Get(name)
		var err error
		if claims, err = strictjson.Members(value, nil); err != nil {
			return nil, false
		}
	}
	return claims.Get(c.Path[last])
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
	id := Identity{Issuer: c.Issuer, Subject: c.Subject, Claims: make(map[string]any, len(c.All)), Expires: time.Unix(c.Expires, 0).UTC()}
	for _, m := range c.All {
		if text, err := strictjson.String(m.Value); err == nil {
			id.Claims[m.Name] = text
			continue
		}
		var value any
		if json.Unmarshal(m.Value, &value) == nil {
			id.Claims[m.Name] = value
		}
	}
	if e.Once {
		id.OnceID = c.TokenID
	}
	return id
}
