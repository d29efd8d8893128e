// Package host holds what a service on go-oauth2 has to provide: clients, a token store,
// and users with a session. A real service uses a database for each.
package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"

	"github.com/go-oauth2/oauth2/v4"
	oautherrors "github.com/go-oauth2/oauth2/v4/errors"
	"github.com/go-oauth2/oauth2/v4/models"
)

// Clients are the service's OAuth clients, by id.
type Clients map[string]*models.Client

// NewClients returns a web app that uses authorization_code for users, and a program
// that uses client_credentials. Both secrets are in plain text, as in go-oauth2.
func NewClients(callback string) Clients {
	return Clients{
		"webapp":  {ID: "webapp", Secret: "webapp-secret", Domain: callback},
		"nightly": {ID: "nightly", Secret: "Zl2m8Qy4Tn7Vw1Xc5Rb9Ks3Hd", UserID: "team-a"}, //nolint:gosec // an example's
	}
}

// GetByID implements oauth2.ClientStore.
func (c Clients) GetByID(_ context.Context, id string) (oauth2.ClientInfo, error) {
	client, ok := c[id]
	if !ok {
		return nil, errors.New("host: there is no client with this id")
	}
	return client, nil
}

// User returns the user who is logged in: here, the one in the session cookie.
func User(_ http.ResponseWriter, r *http.Request) (string, error) {
	session, err := r.Cookie("session")
	if err != nil {
		return "", oautherrors.ErrAccessDenied
	}
	return session.Value, nil
}

// Reply answers with JSON.
func Reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		fmt.Fprintln(os.Stderr, "gooauth2: reply:", err)
	}
}

// Tokens is an oauth2.TokenStore in memory.
type Tokens struct {
	mu    sync.Mutex
	byKey map[string]models.Token
}

// NewTokens returns an empty store.
func NewTokens() *Tokens { return &Tokens{byKey: make(map[string]models.Token)} }

// Len returns the number of codes, access tokens and refresh tokens.
func (t *Tokens) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byKey)
}

// Create stores a code, or an access token and its refresh token.
func (t *Tokens) Create(_ context.Context, info oauth2.TokenInfo) error {
	token, ok := info.(*models.Token)
	if !ok {
		return errors.New("host: the token must be a *models.Token")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if token.Code != "" {
		t.byKey["code:"+token.Code] = *token
		return nil
	}
	t.byKey["access:"+token.Access] = *token
	if token.Refresh != "" {
		t.byKey["refresh:"+token.Refresh] = *token
	}
	return nil
}

// RemoveByCode removes a code.
func (t *Tokens) RemoveByCode(_ context.Context, code string) error { return t.remove("code:" + code) }

// RemoveByAccess removes an access token.
func (t *Tokens) RemoveByAccess(_ context.Context, access string) error {
	return t.remove("access:" + access)
}

// RemoveByRefresh removes a refresh token.
func (t *Tokens) RemoveByRefresh(_ context.Context, refresh string) error {
	return t.remove("refresh:" + refresh)
}

// GetByCode finds a code.
func (t *Tokens) GetByCode(_ context.Context, code string) (oauth2.TokenInfo, error) {
	return t.get("code:"+code, oautherrors.ErrInvalidAuthorizeCode)
}

// GetByAccess finds an access token.
func (t *Tokens) GetByAccess(_ context.Context, access string) (oauth2.TokenInfo, error) {
	return t.get("access:"+access, oautherrors.ErrInvalidAccessToken)
}

// GetByRefresh finds a refresh token.
func (t *Tokens) GetByRefresh(_ context.Context, refresh string) (oauth2.TokenInfo, error) {
	return t.get("refresh:"+refresh, oautherrors.ErrInvalidRefreshToken)
}

func (t *Tokens) remove(key string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byKey, key)
	return nil
}

func (t *Tokens) get(key string, missing error) (oauth2.TokenInfo, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token, ok := t.byKey[key]
	if !ok {
		return nil, missing
	}
	return &token, nil
}
