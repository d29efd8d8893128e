package bearer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// Secrets checks the secrets of API keys that requests carry in place of tokens; see
// Guard.OrSecret. It must be safe for concurrent use. oauth.Server has one for its own
// guards.
type Secrets interface {
	// CheckSecret returns the principal of the key that has the secret: a new one for
	// each call, since the Verifier sets its Audience and Direct. An error that wraps
	// ErrUnauthenticated is answered with 401, one that wraps ErrForbidden with 403, and
	// one that wraps ErrThrottled with 429. Any other error is an outage, answered with
	// 503. CheckSecret reports its own refusals and outages to the observer: the
	// Verifier does not.
	CheckSecret(ctx context.Context, s PresentedSecret) (*Principal, error)
}

// PresentedSecret is a secret that a request carries in place of a token.
type PresentedSecret struct {
	// KeyID is the id of the key. It is empty unless the client sent it, with Basic.
	KeyID string
	// Secret is the text itself, not empty.
	Secret Secret
	// Request is the request. It is nil if it is not known, as in Authorize.
	Request *http.Request
}

// Format implements fmt.Formatter. It writes the id of the key only, because the secret
// and the headers of the request are credentials.
func (s PresentedSecret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.label()) //nolint:errcheck // f reports it to Printf
}

// MarshalText implements encoding.TextMarshaler; see Format.
func (s PresentedSecret) MarshalText() ([]byte, error) { return []byte(s.label()), nil }

func (s PresentedSecret) label() string { return "secret of key " + s.KeyID }

// SecretForms says how a request may carry a secret to a guard with OrSecret, besides
// Authorization: Bearer. It is never read from the URL, a cookie or the body.
type SecretForms struct {
	// Header is the name of a header that holds the secret alone, such as X-API-Key.
	// Empty: none. Proxies log such a header unless they are told not to.
	Header string
	// Basic accepts the key's id and secret as at the login (RFC 7617, each
	// percent-encoded as RFC 6749, section 2.3.1, says). Browsers keep such credentials
	// and send them with every request to the origin. So a request that a browser sends
	// for a page of another origin, also of the same site, is refused with 403.
	Basic bool
	// ChallengeBasic adds Basic to the challenges of a 401. A browser then asks its
	// user for the credentials. It needs Basic.
	ChallengeBasic bool
}

// reservedHeaders have a meaning of their own in HTTP.
var reservedHeaders = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "Host", "Origin", "Referer", "Content-Type", "Content-Length", "Transfer-Encoding", "Connection",
}

// complete checks the forms and makes Header canonical.
func (f *SecretForms) complete(secrets Secrets) error {
	const characters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" // RFC 9110, section 5.6.2
	var problems []error
	if secrets == nil && *f != (SecretForms{}) {
		problems = append(problems, errors.New("SecretForms: needs Secrets, which checks the secrets"))
	}
	f.Header = http.CanonicalHeaderKey(f.Header)
	if strings.Trim(f.Header, characters) != "" || strings.ContainsFunc(f.Header, func(r rune) bool { return !strings.ContainsRune(characters, r) }) || slices.Contains(reservedHeaders, f.Header) {
		problems = append(problems, errors.New("SecretForms.Header: must be the name of a header that HTTP does not define, such as X-API-Key"))
	}
	if f.ChallengeBasic && !f.Basic {
		problems = append(problems, errors.New("SecretForms.ChallengeBasic: needs SecretForms.Basic"))
	}
	return errors.Join(problems...)
}

// values returns the values of the secrets' header. A single empty one is absent, as in
// the Authorization header.
func (f *SecretForms) values(header http.Header) []string {
	if f.Header == "" {
		return nil
	}
	values := header[f.Header]
	if len(values) == 1 && values[0] == "" {
		return nil
	}
	return values
}

// credential is what a request presents: a token, a secret or nothing.
type credential struct {
	token  string
	secret PresentedSecret
}

// OrSecret returns a guard that also accepts the secret of a key in place of a token, if
// the key allows it (apikey.Spec.Direct). A secret is Authorization: Bearer with
// anything but a JWT, or has a form of Config.SecretForms. A request with more than one
// credential is refused with 400. It panics if Config.Secrets is nil: a resource server
// in another process than the issuer accepts tokens only.
func (g Guard) OrSecret() Guard {
	g.mustBeMade()
	if g.verifier.config.Secrets == nil {
		panicMisuse(errors.New("OrSecret: Config.Secrets is missing: only the issuer's own process checks secrets"))
	}
	g.secrets = true
	return g
}

// presented reads the credential of a request to the guard's route.
func (g Guard) presented(r *http.Request) (c credential, err error) {
	if !g.secrets {
		c.token, err = Credential(r.Header)
		return c, err
	}
	forms := &g.verifier.config.SecretForms
	text, err := request.Credentials(r.Header, "Bearer")
	if err == nil {
		c = g.verifier.classify(text)
	}
	if forms.Basic && errors.Is(err, request.ErrAbsent) {
		if text, err = request.Credentials(r.Header, "Basic"); err == nil {
			var ok bool
			if c.secret.KeyID, text, ok = request.ParseBasic(text); !ok || c.secret.KeyID == "" {
				return credential{}, errOneCredential
			}
			c.secret.Secret = Secret(text)
		}
	}
	own := forms.values(r.Header)
	switch {
	case err != nil && !errors.Is(err, request.ErrAbsent), len(own) > 1, len(own) == 1 && err == nil:
		return credential{}, errOneCredential
	case len(own) == 1:
		c.secret.Secret = Secret(own[0])
	case err != nil:
		return credential{}, errNoCredential
	}
	c.secret.Request = r
	if c.secret.KeyID != "" && crossSite(r) {
		return c, errCrossSite
	}
	return c, nil
}

// classify decides whether a text is a token or a secret.
func (v *Verifier) classify(text string) credential {
	// Only a JWT has dots in it and is cached or has a JOSE header; the cache is
	// faster than a look at the header. A text that is too long for a token is no
	// secret either.
	if len(text) > jose.MaxToken || strings.Contains(text, ".") && (v.cache.find(text) != nil || request.IsJWT(text)) {
		return credential{token: text}
	}
	return credential{secret: PresentedSecret{Secret: Secret(text)}}
}

// crossSite reports whether a browser sent the request for a page of another origin.
// Unlike http.CrossOriginProtection, it does not except safe methods: a host may let
// other origins read answers.
func crossSite(r *http.Request) bool {
	return new(http.CrossOriginProtection).Check(&http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host}) != nil
}

// checkSecret asks Config.Secrets. Its errors are marked as reported to the observer.
func (v *Verifier) checkSecret(ctx context.Context, s PresentedSecret) (*Principal, error) {
	p, err := v.config.Secrets.CheckSecret(ctx, s)
	switch {
	case err != nil:
		return nil, reportedError{refusedSecret(err)}
	case p == nil || p.KeyID == "" || p.Workspace == "":
		return nil, fmt.Errorf("%w: Config.Secrets returned neither a key nor an error", ErrUnavailable)
	}
	p.Direct, p.Audience = true, v.config.Audiences
	return p, nil
}

// reportedError is an error that the observer knows already.
type reportedError struct{ error }

func (e reportedError) Unwrap() error { return e.error }

// refusedSecret returns the refusal for an error of Config.Secrets, with the text and
// the wait of an answer.Refusal in it.
func refusedSecret(err error) error {
	r := &refusal{}
	switch {
	case errors.Is(err, ErrUnavailable):
		return err
	case errors.Is(err, ErrThrottled):
		r.kind, r.answer.Kind = ErrThrottled, answer.Throttled
	case errors.Is(err, ErrForbidden):
		r.kind, r.answer.Kind = ErrForbidden, answer.DeniedDirect
	case errors.Is(err, ErrUnauthenticated):
		r.kind, r.answer = ErrInvalid, answer.Refusal{Kind: answer.InvalidToken, Detail: "The secret is not valid."}
	default:
		return fmt.Errorf("%w: check secret: %w", ErrUnavailable, err)
	}
	if known, ok := errors.AsType[*answer.Refusal](err); ok {
		r.answer.Detail, r.answer.RetryAfter = known.Detail, known.RetryAfter
	}
	return r
}
