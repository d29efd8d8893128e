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

// Principal is the API key that a token was issued to, as the token's claims
// describe it. All requests with that token share it: it must not be changed. If Direct
// is true, it is the key whose secret the request carries in place of a token.
type Principal struct {
	KeyID        string // the API key, which is the OAuth client_id
	Workspace    string // the key's workspace, never empty
	CredentialID string // the secret that was exchanged, or that the request carries; may be empty
	TokenID      string // the jti; empty if Direct
	// Direct means that the request carries the key's secret; see Guard.OrSecret. There
	// are no claims then.
	Direct bool
	// Audience is the aud claim, which includes this resource server. If Direct, it is
	// Config.Audiences.
	Audience    []string
	Permissions scope.Set
	IssuedAt    time.Time // UTC; zero if Direct
	// Expires is when the token expires, in UTC. If Direct, it is when the secret or the
	// key expires; zero means never.
	Expires time.Time

	claims *jose.Claims
}

// ErrNoClaim is returned for a claim that the token does not hold.
var ErrNoClaim = errors.New("bearer: the token has no such claim")

// Claim decodes one of the host's own claims as json.Unmarshal does. It does
// not find the claims that Latchkey writes: they are the Principal's fields.
func (p *Principal) Claim(name string, into any) error {
	if p.claims == nil { // Direct, or made by a test
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
// Guards call it. It is also for callers of Authorize and for tests of
// handlers.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal of a request that passed a guard. ctx is
// the request's context.
func PrincipalFrom(ctx context.Context) (*Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(*Principal)
	return p, ok && p != nil
}

// Token is what Epochs gets about a token, to decide whether it was revoked.
type Token struct {
	Workspace    string
	KeyID        string
	CredentialID string
	TokenID      string
	// Epochs are the epochs of the instance, the workspace and the key when the
	// token was issued.
	Epochs [3]int64
	// Expires is the exp claim, UTC.
	Expires time.Time
	// Raw is the token itself; its signature and claims have been checked. It is
	// a credential: do not log it. It is a substring of the request's header, so
	// keeping it keeps the header in memory.
	Raw string
}

// Format implements fmt.Formatter. It writes the ids of token and key only,
// because Raw is a credential.
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, t.label()) //nolint:errcheck // f reports it to Printf
}

// MarshalText implements encoding.TextMarshaler; see Format.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.label()), nil }

func (t Token) label() string { return "token " + t.TokenID + " of key " + t.KeyID }

// Epochs knows which tokens were revoked, because their key was disabled, their
// secret retired or their workspace suspended. It must be safe for concurrent
// use. It is called for every request.
type Epochs interface {
	// Revoked reports whether the token was revoked. An error is an outage: the
	// request is refused with 503.
	Revoked(ctx context.Context, t Token) (bool, error)
}
