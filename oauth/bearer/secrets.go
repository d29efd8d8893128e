package bearer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
)

// SecretForms says how a request may carry a secret to a guard with OrSecret, besides
// Authorization: Bearer. It is never read from the URL, a cookie or the body.
type SecretForms struct {
	// Header is the name of a header that holds the secret alone, such as X-API-Key.
	// Empty: none. Proxies log such a header unless they are configured not to.
	Header string
	// Basic accepts the key's id and secret as at the login (RFC 7617, each
	// percent-encoded as RFC 6749, section 2.3.1, says). Browsers keep such credentials
	// and send them with every request to the origin. So a request that a browser sends
	// for a page of another origin, also of the same site, is refused with 403.
	// Over http browsers do not say which site a request comes from (Sec-Fetch-Site),
	// and a page can withhold Origin and Referer: use Basic over https only.
	Basic bool
	// ChallengeBasic adds Basic to the challenges of a 401. A browser then asks its
	// user for the credentials. It needs Basic.
	ChallengeBasic bool
}

// reserved are headers that have a meaning of their own in HTTP.
var reserved = regexp.MustCompile(`^(Accept|Authorization|Connection|(Set-)?Cookie|Forwarded|Host|Origin|Referer|Te|Trailer|Transfer-Encoding|Upgrade|(Accept|Content|Proxy|Sec|X-Forwarded)-.*)$`)

// complete checks the forms and makes Header canonical.
func (f *SecretForms) complete(checked bool) error {
	const characters = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" // RFC 9110, section 5.6.2
	var problems []error
	if !checked && *f != (SecretForms{}) {
		problems = append(problems, errors.New("SecretForms: needs CheckSecret"))
	}
	f.Header = http.CanonicalHeaderKey(f.Header)
	if strings.ContainsFunc(f.Header, func(r rune) bool { return !strings.ContainsRune(characters, r) }) {
		problems = append(problems, errors.New("SecretForms.Header: has characters that the name of a header cannot have; choose a name such as X-API-Key"))
	}
	if reserved.MatchString(f.Header) {
		problems = append(problems, fmt.Errorf("SecretForms.Header: HTTP uses %s; choose another name, such as X-API-Key", f.Header))
	}
	if f.ChallengeBasic && !f.Basic {
		problems = append(problems, errors.New("SecretForms.ChallengeBasic: needs SecretForms.Basic"))
	}
	return errors.Join(problems...)
}

// missing returns the refusal of a request without a credential. It names the header as the
// host wrote it.
func (f *SecretForms) missing() error {
	text := "This request needs a bearer token or the secret of an API key: as Authorization: Bearer"
	if f.Header != "" {
		text += ", or the secret in " + f.Header
	}
	if f.Basic {
		text += ", or the key's id and secret with Basic"
	}
	return &refusal{kind: errNoCredential, answer: answer.Refusal{Kind: answer.Unauthorized, Detail: text + "."}}
}

// find returns the credential in the headers, and its scheme, which is empty for the
// secrets' header. The errors are those of request.Credentials; a second credential is
// ErrMalformed.
func (f *SecretForms) find(header http.Header) (scheme, text string, err error) {
	scheme = "Bearer"
	text, err = request.Credentials(header, scheme)
	if f.Basic && errors.Is(err, request.ErrAbsent) {
		scheme = "Basic"
		text, err = request.Credentials(header, scheme)
	}
	if f.Header == "" {
		return scheme, text, err
	}
	switch own := header[f.Header]; {
	case len(own) == 0, len(own) == 1 && own[0] == "": // absent, as in the Authorization header
		return scheme, text, err
	case len(own) == 1 && errors.Is(err, request.ErrAbsent):
		return "", own[0], nil
	}
	return "", "", request.ErrMalformed
}

// credential is what a request presents: a token, a secret or nothing.
type credential struct {
	token    string
	keyID    string // with Basic only
	secret   Secret
	request  *http.Request // nil if it is not known
	reported bool          // the observer knows the refusal already
}

// OrSecret returns a guard that also accepts the secret of a key in place of a token, if
// the key allows it (apikey.Spec.Direct). A secret is Authorization: Bearer with
// anything but a JWT, or has a form of Config.SecretForms. A request with more than one
// credential is refused with 400. It panics if Config.CheckSecret is nil: a resource server
// in another process than the issuer accepts tokens only.
func (g Guard) OrSecret() Guard {
	g.mustBeMade()
	if g.verifier.config.CheckSecret == nil {
		panicMisuse(errors.New("OrSecret: Config.CheckSecret is missing: only the issuer's own process checks secrets"))
	}
	g.secrets = true
	return g
}

// presented reads the credential of a request to the guard's route.
func (g Guard) presented(r *http.Request) (c credential, err error) {
	c.request = r
	if !g.secrets {
		c.token, err = Credential(r.Header)
		return c, err
	}
	scheme, text, err := g.verifier.config.SecretForms.find(r.Header)
	switch {
	case errors.Is(err, request.ErrAbsent):
		return c, g.verifier.noCredential
	case err != nil:
		return c, errOneCredential
	case scheme == "Bearer":
		c.token, c.secret = g.verifier.classify(text)
		return c, nil
	case scheme == "":
		c.secret = Secret(text)
		return c, nil
	}
	id, secret, ok := request.ParseBasic(text)
	if !ok || id == "" {
		return c, errOneCredential
	}
	c.keyID, c.secret = id, Secret(secret)
	// A browser sends Basic credentials for pages of other origins too. The check excepts
	// safe methods, so it gets a POST: a host may let other origins read answers. Without
	// an Origin, as with a link or an image, the Referer counts.
	site := http.Header{"Sec-Fetch-Site": r.Header["Sec-Fetch-Site"], "Origin": {cmp.Or(r.Header.Get("Origin"), r.Referer())}}
	if new(http.CrossOriginProtection).Check(&http.Request{Method: http.MethodPost, Header: site, Host: r.Host}) != nil {
		return c, errCrossSite
	}
	return c, nil
}

// classify decides whether a text is a token or a secret.
func (v *Verifier) classify(text string) (token string, secret Secret) {
	// Only a JWT has dots in it and is cached or has a JOSE header; the cache is
	// faster than a look at the header. A text that is too long for a token is no
	// secret either.
	if len(text) > jose.MaxToken || strings.Contains(text, ".") && (v.cache.find(text) != nil || request.IsJWT(text)) {
		return text, ""
	}
	return "", Secret(text)
}

// checkSecret asks Config.CheckSecret.
func (v *Verifier) checkSecret(ctx context.Context, c *credential) (*Principal, error) {
	p, err := v.config.CheckSecret(ctx, c.keyID, c.secret, c.request)
	switch {
	case err != nil:
		c.reported = true
		return nil, refusedSecret(err)
	case p == nil || p.KeyID == "" || p.Workspace == "":
		return nil, fmt.Errorf("%w: Config.CheckSecret returned neither a key nor an error", ErrUnavailable)
	}
	p.Direct, p.Audience = true, v.config.Audiences
	return p, nil
}

// refusedSecret returns the refusal for an error of Config.CheckSecret, with the text and
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
