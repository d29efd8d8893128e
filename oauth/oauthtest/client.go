package oauthtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Client creates a key and returns a client that uses it as a program would: it
// logs in before its first request, sends the token with every request, and logs
// in again after the token expired by the server's clock. If a login is refused,
// the request returns an error; if a token is refused, it returns the answer.
//
// The client sends the token to every host. It is safe for concurrent use.
func (s *Server) Client(t testing.TB, workspace string, permissions ...string) *http.Client {
	t.Helper()
	id, secret := s.Key(t, workspace, permissions...)
	return s.ClientOf(id, secret)
}

// ClientOf is Client for an existing key.
func (s *Server) ClientOf(id, secret string) *http.Client {
	return &http.Client{Transport: &loginTransport{server: s, id: id, secret: secret}}
}

// loginTransport is the transport of a client that logs in by itself.
type loginTransport struct {
	server     *Server
	id, secret string

	mu    sync.Mutex
	token string
	until time.Time
}

// RoundTrip implements http.RoundTripper.
func (c *loginTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := c.current(r.Context())
	if err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, fmt.Errorf("oauthtest: log in: %w", err)
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return c.server.web.Client().Transport.RoundTrip(r)
}

// current returns a token that has not expired.
func (c *loginTransport) current(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.server.Clock.Now()
	if now.Before(c.until) {
		return c.token, nil
	}
	granted, err := login(ctx, c.server.server, c.id, c.secret)
	if err != nil {
		return "", err
	}
	// The token's exp is in whole seconds.
	c.token, c.until = granted.AccessToken, now.Truncate(time.Second).Add(time.Duration(granted.ExpiresIn)*time.Second)
	return c.token, nil
}

// granted is the answer to a login (RFC 6749, section 5.1).
type granted struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
}

// readLogin reads and closes the answer to a login. For a refusal it returns an
// error with the answer's text.
func readLogin(response *http.Response) (granted, error) {
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return granted{}, err
	}
	if response.StatusCode != http.StatusOK {
		return granted{}, fmt.Errorf("the server refused the login: %s %s", response.Status, strings.TrimSpace(string(body)))
	}
	var g granted
	if err := json.Unmarshal(body, &g); err != nil {
		return granted{}, fmt.Errorf("read the login's answer: %w", err)
	}
	return g, nil
}
