// Package assertion is for programs that log in without a secret. It makes a token source
// for golang.org/x/oauth2 that sends an assertion in place of a secret (RFC 7523, section
// 2.2): a JWT that the program signs with its own private key, or one that it got from
// another issuer, which its API key trusts.
//
// A function of the type of Config.Assertion returns the assertion. Signed, File and
// GitHubActions make such functions, and a program can write its own. In a job of GitLab CI,
// which puts the token into a variable, it is
//
//	func(context.Context) (string, error) { return os.Getenv("IDENTITY"), nil }
//
// Each login asks the function again. The texts of the errors of this package contain no
// assertion, no token and no key.
package assertion

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Config says how a program logs in.
type Config struct {
	// TokenURL is the URL of the login endpoint. Required.
	TokenURL string
	// ClientID is the id of the API key. Required.
	ClientID string
	// Assertion returns the assertion for one login. Required. Its ctx is that of
	// TokenSource.
	Assertion func(ctx context.Context) (string, error)
	// Scopes are the permissions that tokens are for. None: all that the key has.
	Scopes []string
	// Resource, unless empty, is the resource that tokens are for (RFC 8707).
	Resource string
}

// TokenSource returns a token source that logs in when its token has expired. It is safe
// for concurrent use. If the server refuses the login, the error wraps an
// *oauth2.RetrieveError without the body of the response.
//
// As everywhere in golang.org/x/oauth2, ctx is used for every login, and can have an
// *http.Client as the value of oauth2.HTTPClient; otherwise it is http.DefaultClient. Unlike
// there, no redirect is followed, because the assertion would go to another place, and
// a request ends after a minute if the client has no timeout.
func TokenSource(ctx context.Context, cfg Config) oauth2.TokenSource {
	client := *http.DefaultClient
	if given, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && given != nil {
		client = *given
	}
	client.Timeout = cmp.Or(client.Timeout, time.Minute)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &client)
	return oauth2.ReuseTokenSource(nil, &source{ctx, cfg})
}

// source logs in for each token.
type source struct {
	ctx context.Context //nolint:containedctx // oauth2.TokenSource has no parameter for it
	cfg Config
}

// Token implements oauth2.TokenSource.
func (s *source) Token() (*oauth2.Token, error) {
	if s.cfg.TokenURL == "" || s.cfg.ClientID == "" || s.cfg.Assertion == nil {
		return nil, errors.New("assertion: Config.TokenURL, ClientID and Assertion are required")
	}
	assertion, err := s.cfg.Assertion(s.ctx)
	if err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	if assertion == "" {
		return nil, errors.New("assertion: Config.Assertion returned an empty text; is the variable or file set where the program runs?")
	}
	login := clientcredentials.Config{
		TokenURL: s.cfg.TokenURL, ClientID: s.cfg.ClientID, Scopes: s.cfg.Scopes, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		},
	}
	if s.cfg.Resource != "" {
		login.EndpointParams.Set("resource", s.cfg.Resource)
	}
	token, err := login.Token(s.ctx)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// A server or a proxy may have repeated the request, and cut it off.
		if refused.Body = nil; regexp.MustCompile(`[\w.-]{32,}`).MatchString(refused.Error()) {
			*refused = oauth2.RetrieveError{Response: refused.Response, ErrorCode: "not shown, because it may repeat the assertion"}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("assertion: login: %w", err)
	}
	return token, nil
}
