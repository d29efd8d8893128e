package oauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/go-oauth2/oauth2/v4"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/bearer"
)

// Refuse writes the response to an error.
func (s *Server) Refuse(ctx context.Context, w http.ResponseWriter, err error) { s.refuse(ctx, w, err) }

// DefaultLoginTimeout returns the default of Config.LoginTimeout.
func DefaultLoginTimeout() time.Duration {
	cfg, _, _ := Config{}.complete()
	return cfg.LoginTimeout
}

// Step makes the step that Run makes every minute.
func (s *Server) Step() error {
	return errors.Join(s.ring.Step(context.Background()), s.recordSigner(context.Background()))
}

// Generate makes go-oauth2's manager generate the token of a client. g, which may
// be nil, is in the context as in a login.
func (s *Server) Generate(ctx context.Context, g *apikey.Grant, client string) error {
	if g != nil {
		ctx = context.WithValue(ctx, grantKey{}, g)
	}
	_, err := s.manager.GenerateAccessToken(ctx, oauth2.ClientCredentials, &oauth2.TokenGenerateRequest{ClientID: client})
	return err
}

// ParseLeakKeys reads the document at LeakConfig.KeysURL.
func ParseLeakKeys(document []byte) (map[string]bearer.PublicKey, error) {
	return parseLeakKeys(document)
}
