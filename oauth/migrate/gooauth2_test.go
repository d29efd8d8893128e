package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/go-oauth2/oauth2/v4"
	"github.com/go-oauth2/oauth2/v4/models"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// hostClients is a host's client store.
type hostClients struct {
	clients map[string]oauth2.ClientInfo
	down    error
}

func (h *hostClients) GetByID(_ context.Context, id string) (oauth2.ClientInfo, error) {
	if h.down != nil {
		return nil, h.down
	}
	if client, ok := h.clients[id]; ok {
		return client, nil
	}
	return nil, errors.New("not found")
}

// hashedClient is a client of a host that stores digests instead of plain secrets.
type hashedClient struct{ models.Client }

func (c *hashedClient) VerifyPassword(secret string) bool {
	return bcrypt.CompareHashAndPassword([]byte(c.Secret), []byte(secret)) == nil
}

func fromGoOAuth2(c oauth2.ClientInfo) (apikey.Spec, error) {
	if c.GetUserID() == "" {
		return apikey.Spec{}, errors.New("nobody owns it")
	}
	return apikey.Spec{Workspace: c.GetUserID(), Permissions: scope.MustParse("project.list")}, nil
}

func TestGoOAuth2(t *testing.T) {
	digest, err := bcrypt.GenerateFromPassword([]byte("hashed secret"), bcrypt.MinCost)
	require.NoError(t, err)
	from := &hostClients{clients: map[string]oauth2.ClientInfo{
		// As in go-oauth2's README.
		"000000":   &models.Client{ID: "000000", Secret: "999999", Domain: "http://localhost", UserID: "team-a"},
		"batch":    &models.Client{ID: "batch", Secret: "iR2wQbZ0eJtnJqPz7oGmHcVxSd4uKf1L", UserID: "team-b"},
		"hashed":   &hashedClient{models.Client{ID: "hashed", Secret: string(digest), UserID: "team-b"}},
		"own":      &hashedClient{models.Client{ID: "own", Secret: "5ebe2294ecd0e0f08eab7690d2a6ee69", UserID: "team-b"}},
		"dollars":  &models.Client{ID: "dollars", Secret: "$2a$is plain text$", UserID: "team-b"},
		"spa":      &models.Client{ID: "spa", Secret: "x", Public: true, UserID: "team-a"},
		"careless": &models.Client{ID: "careless", UserID: "team-a"},
		"unowned":  &models.Client{ID: "unowned", Secret: "x"},
		"alias":    &models.Client{ID: "other", Secret: "x", UserID: "team-a"},
		"nil":      nil,
	}}
	ids := []string{"000000", "batch", "hashed", "own", "dollars", "spa", "careless", "unowned", "alias", "nil", "missing", "batch"}
	found, err := migrate.GoOAuth2(t.Context(), from, ids, fromGoOAuth2)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", found, found, found), "iR2wQbZ0", "B11")
	require.Equal(t, map[string]string{
		"own":      "It verifies its secret itself, and GetSecret does not return a digest that can be imported.",
		"spa":      "It is a public client.",
		"careless": "It has no secret.",
		"unowned":  "The host's mapping skipped it: nobody owns it.",
		"alias":    "The store returned a client with another id.",
		"nil":      "It was not found in the store.",
		"missing":  "It was not found in the store: not found.",
	}, skipped(found))

	for _, spec := range found.Keys {
		require.Equal(t, spec.ID, spec.Name)
	}
	try := login(t, found)
	for id, secret := range map[string]string{
		"000000": "999999", "batch": "iR2wQbZ0eJtnJqPz7oGmHcVxSd4uKf1L", "hashed": "hashed secret", "dollars": "$2a$is plain text$",
	} {
		require.NoError(t, try(id, secret), id)
		require.ErrorIs(t, try(id, secret+"x"), apikey.ErrInvalidCredentials)
		require.ErrorIs(t, try(id, ""), apikey.ErrInvalidCredentials)
	}
	require.ErrorIs(t, try("hashed", string(digest)), apikey.ErrInvalidCredentials)

	t.Run("an outage is an error", func(t *testing.T) {
		from.down = store.ErrUnavailable
		_, err := migrate.GoOAuth2(t.Context(), from, ids, fromGoOAuth2)
		require.ErrorIs(t, err, store.ErrUnavailable)
		from.down = context.Canceled
		_, err = migrate.GoOAuth2(t.Context(), from, ids, fromGoOAuth2)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("a nil store or mapping", func(t *testing.T) {
		_, err := migrate.GoOAuth2(t.Context(), nil, ids, fromGoOAuth2)
		require.Error(t, err)
		_, err = migrate.GoOAuth2(t.Context(), from, ids, nil)
		require.Error(t, err)
	})
}
