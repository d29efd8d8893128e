package bearer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
)

// Principal is who presents a token, as the token says. It is shared by all
// requests with that token and must not be changed.
type Principal struct {
	KeyID     string // the API key, which is the OAuth client_id
	Workspace string // the key's workspace, never empty
	SecretID  string // the secret that was exchanged; may be empty
	TokenID   string // the jti
	// Audience is all that the token is for, this resource server included.
	Audience    []string
	Permissions scope.Set
	IssuedAt    time.Time // UTC
	Expires     time.Time // UTC

	claims *jose.Claims
}

// ErrNoClaim is returned for a claim that the token does not hold.
var ErrNoClaim = errors.New("bearer: the token has no such claim")

// Claim decodes one of the host's own claims as json.Unmarshal does. The
// claims that Latchkey writes are the Principal's fields and are not found
// here.
func (p *Principal) Claim(name string, into any) error {
	if p.claims == nil { // a Principal that a test made
		return ErrNoClaim
	}
	value, ok := strictjson.Object(p.claims.Extra).Get(name)
	if !ok {
		return ErrNoClaim
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("bearer: claim %q: %w", name, err)
	}
	return nil
}

type principalKey struct{}

// WithPrincipal returns a context in which PrincipalFrom finds the principal.
// Guards do this; it is for who calls Authorize, and for tests of handlers.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal of a request that a guard let pass; ctx
// is the request's context.
func PrincipalFrom(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok && p != nil
}

// Token is what Epochs are told of a token, to say whether it was ended before it
// expired.
type Token struct {
	Workspace string
	KeyID     string
	SecretID  string
	TokenID   string
	// Epochs are those of the instance, the workspace and the key, under
	// which the token was issued.
	Epochs [3]int64
	// Expires is the exp claim, UTC.
	Expires time.Time
	// Raw is the token itself, whose signature and claims have been checked. It
	// opens whatever the token opens: it belongs in no log, and a part of the
	// request's header is kept alive with it.
	Raw string
}

// Format implements fmt.Formatter: the ids of token and key only, since Raw is
// a credential.
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, t.label()) //nolint:errcheck // Printf is told by f
}

// MarshalText implements encoding.TextMarshaler; see Format.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.label()), nil }

func (t Token) label() string { return "token " + t.TokenID + " of key " + t.KeyID }

// Epochs knows which tokens were ended: their key disabled, their secret
// retired, their workspace suspended. It must be safe for concurrent use, and
// it is asked at every request.
type Epochs interface {
	// Ended reports whether the token must be refused. An error is an outage,
	// answered with 503: a token that cannot be checked opens nothing.
	Ended(ctx context.Context, t Token) (bool, error)
}
