//go:build generated

package manage_test

import (
	"context"
	"net/http"
	"testing"

	_ "github.com/oapi-codegen/runtime" // the generated file imports it; this import keeps it in go.mod
	"github.com/oapi-codegen/runtime/types"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/examples/interop/testserver"
)

func start(t *testing.T) (*ClientWithResponses, *testserver.Server) {
	t.Helper()
	w, err := testserver.Start(t.Context(), "ES256")
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	client, err := NewClientWithResponses(w.Facts.ManageURL, WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+w.Facts.ManageToken)
		return nil
	}))
	require.NoError(t, err)
	return client, w
}

func TestKeys(t *testing.T) {
	client, w := start(t)
	me, err := client.ReadMeWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, MeKindKey, me.JSON200.Kind)
	require.Equal(t, "manager", *me.JSON200.Name)
	require.Equal(t, []Right{ReadSettings, SaveSettings}, me.JSON200.Rights)
	require.Equal(t, []string{"key.list", "key.save", "project.list"}, me.JSON200.Grants)

	wanted := KeyInput{Name: "generated", Permissions: []string{"project.*"}, ExpiresAt: new("2099-01-31")}
	refused, err := client.CreateKeyWithResponse(t.Context(), w.Facts.Workspace, nil, wanted)
	require.NoError(t, err)
	require.Equal(t, []string{"project.read"}, *refused.ApplicationproblemJSON403.Missing)

	wanted.Permissions = []string{"project.list"}
	once := &CreateKeyParams{IdempotencyKey: new("one")}
	made, err := client.CreateKeyWithResponse(t.Context(), w.Facts.Workspace, once, wanted)
	require.NoError(t, err)
	key := made.JSON201.Key
	require.NotEmpty(t, *made.JSON201.Secret)
	require.Equal(t, KeyStateActive, key.State)
	require.Nil(t, key.StateReason)
	require.Equal(t, types.Date{Time: key.ExpiresAt.AddDate(0, 0, -1)}.String(), key.ExpiresOn.String(), "the end of that day")
	repeated, err := client.CreateKeyWithResponse(t.Context(), w.Facts.Workspace, once, wanted)
	require.NoError(t, err)
	require.Equal(t, key.Id, *repeated.ApplicationproblemJSON409.Key)

	found, err := client.FindSecretWithResponse(t.Context(), SecretText{Secret: *made.JSON201.Secret})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, found.StatusCode(), "%s", found.Body)
	require.Equal(t, key, found.JSON200.Key)
	require.Equal(t, key.Secrets[0], found.JSON200.Secret)
	require.Equal(t, FoundSecretSecretStateActive, found.JSON200.SecretState)

	read, err := client.ReadKeyWithResponse(t.Context(), key.Id)
	require.NoError(t, err)
	etag := read.HTTPResponse.Header.Get("ETag")
	rotated, err := client.RotateKeyWithResponse(t.Context(), key.Id, &RotateKeyParams{IfMatch: &etag}, Rotation{Grace: 3600})
	require.NoError(t, err)
	require.Len(t, rotated.JSON200.Key.Secrets, 2)
	require.NotNil(t, rotated.JSON200.Key.Secrets[0].ExpiresAt)
	require.Nil(t, rotated.JSON200.Key.Secrets[1].ExpiresAt)
	stale, err := client.RotateKeyWithResponse(t.Context(), key.Id, &RotateKeyParams{IfMatch: &etag}, Rotation{Grace: 3600})
	require.NoError(t, err)
	require.Equal(t, http.StatusPreconditionFailed, stale.ApplicationproblemJSON412.Status)

	public := PublicJWK{Kty: EC, Crv: new(P256), X: new("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), Y: new("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")}
	added, err := client.AddPublicKeyWithResponse(t.Context(), key.Id, nil, AddedPublicKeyInput{Name: "deploy", PublicKey: public})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, added.StatusCode(), "%s", added.Body)
	require.Equal(t, *public.X, *added.JSON201.PublicKeys[0].PublicKey.X)
	retired, err := client.RetireCredentialWithResponse(t.Context(), key.Id, added.JSON201.PublicKeys[0].Id, nil)
	require.NoError(t, err)
	require.Empty(t, retired.JSON200.PublicKeys)

	var names []string
	for query := (ListWorkspaceKeysParams{Limit: new(1), Sort: new(ListWorkspaceKeysParamsSort("name"))}); ; {
		page, err := client.ListWorkspaceKeysWithResponse(t.Context(), w.Facts.Workspace, &query)
		require.NoError(t, err)
		for _, key := range page.JSON200.Keys {
			names = append(names, key.Name)
		}
		if query.Cursor = page.JSON200.Next; query.Cursor == nil {
			break
		}
	}
	require.Equal(t, []string{"ci", "ended", "generated", "manager"}, names)
}

func TestSettings(t *testing.T) {
	client, _ := start(t)
	read, err := client.ReadSettingsWithResponse(t.Context())
	require.NoError(t, err)
	require.True(t, read.JSON200.KeysEnabled)
	require.Nil(t, read.JSON200.MaxKeys)
	etag := read.HTTPResponse.Header.Get("ETag")

	wanted := SettingsInput{KeysEnabled: true, DirectEnabled: true, RemindersEnabled: true, MaxKeys: new(int64(50)), KeyRequests: new(int64(60))}
	saved, err := client.SaveSettingsWithResponse(t.Context(), &SaveSettingsParams{IfMatch: etag}, wanted)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, saved.StatusCode(), "%s", saved.Body)
	require.EqualValues(t, 50, *saved.JSON200.MaxKeys)
	require.EqualValues(t, 60, *saved.JSON200.KeyRequests)
	require.Nil(t, saved.JSON200.WorkspaceRequests)
	require.True(t, saved.JSON200.DirectEnabled)
	require.Nil(t, saved.JSON200.EnforcedAt)
	stale, err := client.SaveSettingsWithResponse(t.Context(), &SaveSettingsParams{IfMatch: etag}, wanted)
	require.NoError(t, err)
	require.Equal(t, http.StatusPreconditionFailed, stale.ApplicationproblemJSON412.Status)

	wanted.MaxKeys = nil
	etag = saved.HTTPResponse.Header.Get("ETag")
	saved, err = client.SaveSettingsWithResponse(t.Context(), &SaveSettingsParams{IfMatch: etag}, wanted)
	require.NoError(t, err)
	require.Nil(t, saved.JSON200.MaxKeys)
}
