package trust

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// refusal says which check an identity did not pass. Its text contains nothing of the token.
type refusal struct {
	reason string
	// passed is how far the trust came: 0 if it names no entry of the issuer, 1 if the token
	// was not verified, 2 if it was, and one more for each claim that matched.
	passed int
}

func (r *refusal) Error() string { return ErrRefused.Error() + ": " + r.reason }

func (r *refusal) Unwrap() error { return ErrRefused }

// Find returns which of the trusts accepts the assertion, and the identity. It tries the keys
// of only those entries that a trust names and whose Issuer is the assertion's. It returns an
// error that wraps ErrRefused, or an outage (store.IsOutage) if the keys cannot be fetched.
// With ErrRefused it returns the index of the trust that came closest, which is the one with
// the most claims that matched before the first that did not, or -1 if no trust names an
// entry of this issuer.
// It is for the login, which has parsed the assertion already.
func (l *List) Find(ctx context.Context, assertion *jose.Unverified, trusts []store.Trust) (int, Identity, error) {
	// Entries may have the same Issuer. One whose server hangs must not stop a login that
	// another accepts, so none is waited for at first; fetches of unknown keys begin.
	ended, end := context.WithCancel(ctx)
	end()
	at, identity, err := l.find(ended, assertion, trusts)
	if store.IsOutage(err) {
		at, identity, err = l.find(ctx, assertion, trusts)
	}
	return at, identity, err
}

func (l *List) find(ctx context.Context, assertion *jose.Unverified, trusts []store.Trust) (int, Identity, error) {
	type verification struct {
		claims jose.Assertion
		err    error
	}
	verified := map[*entry]verification{}
	issuer, _ := assertion.UnverifiedParties()
	closest, at := &refusal{reason: "the key has no trust in its issuer that has not ended; an assertion of its own needs the key's id as iss"}, -1
	var outage error
	for i := range trusts {
		e := l.entry(trusts[i].Issuer)
		if e == nil || e.Issuer.Issuer != issuer {
			continue
		}
		v, done := verified[e]
		if !done {
			v.claims, v.err = e.verify(ctx, assertion, &l.cfg)
			verified[e] = v
		}
		err := v.err
		if err == nil {
			err = e.match(&trusts[i], v.claims.All)
		}
		refused, ok := errors.AsType[*refusal](err)
		switch {
		case err == nil:
			return i, e.identity(&v.claims), nil
		case !ok:
			outage = err
		case refused.passed > closest.passed:
			closest, at = refused, i
		}
	}
	if outage != nil { // the keys may show that a trust accepts it
		return 0, Identity{}, outage
	}
	return at, Identity{}, closest
}

// verify checks what is the same for all trusts that name the entry: header, signature and the
// registered claims (RFC 7523, section 3).
func (e *entry) verify(ctx context.Context, assertion *jose.Unverified, cfg *Config) (c jose.Assertion, err error) {
	if reason := firstBroken(
		rule{!assertion.HasType(e.Types...), "its typ is not accepted from this issuer"},
		rule{!slices.Contains(e.Algorithms, string(assertion.Algorithm)), "its alg is not accepted from this issuer"},
		rule{assertion.KeyID == "", "it has no kid"},
	); reason != "" {
		return c, &refusal{reason, 1}
	}
	key, err := e.keys.Key(ctx, assertion.KeyID)
	switch {
	case errors.Is(err, bearer.ErrUnknownKey):
		return c, &refusal{"the issuer has no key with its kid", 1}
	case err != nil:
		return c, fmt.Errorf("trust: the keys of %s: %w: %w", e.Name, store.ErrUnavailable, err)
	}
	c, err = assertion.VerifyAssertion(jose.PublicKey{ID: key.ID, Algorithm: jose.Algorithm(key.Algorithm), Key: key.Key})
	if err != nil {
		return c, &refusal{"its signature does not match the key", 1}
	}
	now := cfg.Now()
	latest := now.Add(jose.ClockSkew).Unix()
	if reason := firstBroken(
		rule{len(c.Audience) != 1 || c.Audience[0] != cfg.Audience, "its aud is not the issuer identifier of this server alone"},
		rule{!now.Before(time.Unix(c.Expires, 0)), "its exp is past"},
		rule{c.IssuedAt == 0, "it has no iat"},
		rule{c.IssuedAt > latest, "its iat is in the future"},
		rule{c.NotBefore > latest, "its nbf is in the future"},
		rule{c.Expires-c.IssuedAt > int64(e.MaxLifetime/time.Second), "it is valid for longer than the MaxLifetime of the entry"},
		rule{e.Once && (c.TokenID == "" || len(c.TokenID) > jose.MaxTokenID), "its jti must have 1 to 255 bytes"},
	); reason != "" {
		return c, &refusal{reason, 1}
	}
	return c, nil
}

// rule is one that is broken or not, and what to say if it is.
type rule struct {
	broken bool
	text   string
}

func firstBroken(rules ...rule) string {
	for _, r := range rules {
		if r.broken {
			return r.text
		}
	}
	return ""
}

// identity returns what the token says.
func (e *entry) identity(c *jose.Assertion) Identity {
	id := Identity{Issuer: c.Issuer, Subject: c.Subject, Expires: time.Unix(c.Expires, 0).UTC()}
	id.Claims = func() (claims map[string]any) {
		decoder := json.NewDecoder(bytes.NewReader(c.Raw))
		decoder.UseNumber()         // a number that is too large must not make its claim vanish
		_ = decoder.Decode(&claims) //nolint:errcheck // it is well-formed
		return claims
	}
	if e.Once {
		id.OnceID = c.TokenID
	}
	return id
}
