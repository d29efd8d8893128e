package migrate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store/memstore"
)

type reader = func(io.Reader, migrate.Mapping) (migrate.Result, error)

var catalog = scope.MustCatalog(scope.Group{Permissions: []scope.Permission{{Name: "project.list"}, {Name: "project.read"}}})

// known returns the permissions that are in the catalog.
func known(names []string) scope.Set {
	set, err := scope.Of(slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		_, ok := catalog.Lookup(name)
		return !ok
	})...)
	if err != nil {
		panic(err)
	}
	return set
}

func fromHydra(c migrate.Client) (apikey.Spec, error) {
	metadata := c.Metadata
	if text := ""; json.Unmarshal(metadata, &text) == nil {
		metadata = json.RawMessage(text)
	}
	var of struct{ Workspace string }
	if err := json.Unmarshal(metadata, &of); err != nil {
		return apikey.Spec{}, errors.New("no metadata")
	}
	if of.Workspace == "" {
		of.Workspace = c.Owner
	}
	return apikey.Spec{Workspace: of.Workspace, Permissions: known(c.Scopes)}, nil
}

func fromKeycloak(c migrate.Client) (apikey.Spec, error) {
	return apikey.Spec{Workspace: c.Realm, Permissions: known(c.Scopes)}, nil
}

func open(t *testing.T, name string) io.Reader {
	t.Helper()
	file, err := os.Open("testdata/" + name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func skipped(r migrate.Result) map[string]string {
	all := map[string]string{}
	for _, s := range r.Skipped {
		all[s.ID] = s.Reason
	}
	return all
}

// login imports the found keys, and returns the ids and secrets that can log in.
func login(t *testing.T, found migrate.Result) func(id, secret string) error {
	t.Helper()
	keys, err := apikey.New(memstore.New(), apikey.Config{
		Permissions: catalog, Options: apikey.Options{Imported: true}, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) },
	})
	require.NoError(t, err)
	for _, spec := range found.Keys {
		key, err := keys.Import(t.Context(), apikey.OrganizationAdmin("tests"), spec)
		require.NoError(t, err)
		require.NotEmpty(t, key.Name)
	}
	return func(id, secret string) error {
		_, err := keys.Authenticate(t.Context(), apikey.Credentials{ID: id, Secret: secret})
		return err
	}
}

func TestHydraImportFile(t *testing.T) {
	found, err := migrate.Hydra(open(t, "hydra-import.json"), fromHydra)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"portal":    "It may not use client_credentials.",
		"mobile":    "It may not use client_credentials.",
		"jwt-batch": `It authenticates with "private_key_jwt" and not with a secret.`,
	}, skipped(found))
	require.Len(t, found.Keys, 1)
	key := found.Keys[0]
	require.Equal(t, "billing-export", key.ID)
	require.Equal(t, "Billing export", key.Name)
	require.Equal(t, "team-a", key.Workspace)
	require.Equal(t, "project.list", key.Permissions.String())
	require.False(t, key.Generated)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", found, found, found), "9tQ4hFkX", "B11")

	try := login(t, found)
	require.NoError(t, try("billing-export", "9tQ4hFkXw2LzVb7NcYr8PmEsJd"))
	require.ErrorIs(t, try("billing-export", "9tQ4hFkXw2LzVb7NcYr8PmEsJe"), apikey.ErrInvalidCredentials)
	require.ErrorIs(t, try("portal", "portal-secret"), apikey.ErrInvalidCredentials)
}

func TestHydraRows(t *testing.T) {
	found, err := migrate.Hydra(open(t, "hydra-rows.jsonl"), fromHydra)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"c41e2f7b-1df4-43a5-a1a3-b0a4c5a8d803": "It may not use client_credentials.",
		"d2":                                   "Its secret is a digest of an unknown kind.",
		"d3":                                   `It authenticates with "none" and not with a secret.`,
	}, skipped(found))
	workspaces := map[string]string{}
	for _, key := range found.Keys {
		require.Empty(t, key.Secret)
		workspaces[key.Name] = key.Workspace
	}
	require.Equal(t, map[string]string{
		"nightly": "team-a", "8e5d4a0f-15c2-4b0f-8f0b-1e3f1ab9c802": "team-b", "Legacy": "team-c", "From MySQL": "team-d",
	}, workspaces)
	require.Equal(t, time.Unix(1893456000, 0).UTC(), found.Keys[3].Expiry.At, "the key ends with its secret")

	try := login(t, found)
	for id, secret := range map[string]string{
		"0b0a5ee1-7f0c-4d0e-9d6d-3a7b7b1f7a01": "correct horse battery staple", // bcrypt
		"8e5d4a0f-15c2-4b0f-8f0b-1e3f1ab9c802": "test",                         // PBKDF2
		"legacy":                               "correct horse battery staple",
		"mysql":                                "correct horse battery staple",
	} {
		require.NoError(t, try(id, secret))
		require.ErrorIs(t, try(id, secret+"x"), apikey.ErrInvalidCredentials)
	}
	require.ErrorIs(t, try("legacy", found.Keys[2].Digest), apikey.ErrInvalidCredentials, "a digest is no secret")
}

func TestKeycloakRealm(t *testing.T) {
	var seen []migrate.Client
	found, err := migrate.Keycloak(open(t, "keycloak-realm.json"), func(c migrate.Client) (apikey.Spec, error) {
		seen = append(seen, c)
		return fromKeycloak(c)
	})
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"account":    "It is a public client.",
		"broker":     "It has no service account, so it may not use client_credentials.",
		"retired":    "It is disabled.",
		"masked":     "The export masks its secret, as the console's partial export does: use kc.sh export.",
		"vaulted":    "Its secret is a reference to a vault or a variable.",
		"signed":     `It authenticates with "client-jwt" and not with a secret.`,
		"certified":  `It authenticates with "client-x509" and not with a secret.`,
		"login-only": "It has no service account, so it may not use client_credentials.",
		"wiki":       `It is a client of "saml".`,
		"empty":      "The export does not hold its secret.",
		"locked":     "Its service account is disabled.",
	}, skipped(found))
	require.Len(t, found.Keys, 2)
	require.Equal(t, []string{"deployer/look", "reader"}, seen[0].Roles)
	require.Equal(t, "Nightly figures", seen[0].Description)
	require.Equal(t, []string{"address", "phone", "offline_access", "microprofile-jwt"}, seen[0].OptionalScopes)
	require.Equal(t, "1699364741", seen[0].Attributes["client.secret.creation.time"])
	require.Equal(t, "project.read", found.Keys[0].Permissions.String())
	require.Equal(t, "acme", found.Keys[0].Workspace)
	require.Equal(t, "deployer", found.Keys[1].Name)
	require.Equal(t, time.Unix(1893456000, 0).UTC(), found.Keys[1].Expiry.At)
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %+v", found, found, found, seen), "old-rotated-secret", "B11")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %+v", found, found, found, seen), "hunter2", "B11")

	try := login(t, found)
	require.NoError(t, try("reporting", "q7DfJ3mZ0nWcR5yTt8KxUvB2gHsL9pEa"))
	require.NoError(t, try("deployer", "hunter2"))
	require.ErrorIs(t, try("deployer", "old-rotated-secret"), apikey.ErrInvalidCredentials)
	require.ErrorIs(t, try("masked", "**********"), apikey.ErrInvalidCredentials)
}

func TestShapes(t *testing.T) {
	const client = `{"client_id":"a","client_secret":"s","grant_types":["client_credentials"],"metadata":{}}`
	const realm = `{"realm":"acme","clients":[{"clientId":"a","secret":"s","enabled":true,"serviceAccountsEnabled":true}]}`
	for _, tc := range []struct {
		name     string
		read     reader
		text     string
		keys     int
		reason   string // of the skipped client
		says     string // the error
		position string
	}{
		{name: "Hydra: nothing", read: migrate.Hydra},
		{name: "Hydra: one object", read: migrate.Hydra, text: client, keys: 1},
		{name: "Hydra: items", read: migrate.Hydra, text: `{"items":[` + client + `],"next_page_token":""}`, keys: 1},
		{name: "Hydra: the same id again", read: migrate.Hydra, text: client + client, keys: 1, reason: "same id"},
		{name: "Hydra: no id", read: migrate.Hydra, text: `[` + client + `,{"client_name":"x"}]`, keys: 1, reason: "no id", position: "#2"},
		{name: "Hydra: no metadata", read: migrate.Hydra, text: strings.Replace(client, `{}`, `"x"`, 1), reason: "skipped it: no metadata"},
		{name: "Hydra: no grant types", read: migrate.Hydra, text: strings.Replace(client, `["client_credentials"]`, `null`, 1), reason: "may not use"},
		{name: "Hydra: grant types of another type", read: migrate.Hydra, text: strings.Replace(client, `["client_credentials"]`, `7`, 1), reason: "its grant types or audience are not a list"},
		{name: "Hydra: grant types that only begin as JSON", read: migrate.Hydra, text: strings.Replace(client, `["client_credentials"]`, `"[client_credentials"`, 1), reason: "its grant types or audience are not a list"},
		{name: "Hydra: a secret of another type", read: migrate.Hydra, text: strings.Replace(client, `"s"`, `{"hidden":"s"}`, 1), reason: `"client_secret": it has the wrong type`},
		{name: "Hydra: no secret", read: migrate.Hydra, text: strings.Replace(client, `"s"`, `""`, 1), reason: "does not hold its secret"},
		{name: "Hydra: a member twice", read: migrate.Hydra, text: `[` + strings.Replace(client, `{`, `{"client_secret":"t",`, 1) + `]`, says: "appears twice"},
		{name: "Hydra: a member in another case", read: migrate.Hydra, text: `[` + strings.Replace(client, `_secret`, `_Secret`, 1) + `]`, reason: "only in case", position: "#1"},
		{name: "Hydra: no JSON", read: migrate.Hydra, text: `client_id: a`, says: "not JSON"},
		{name: "Hydra: cut off", read: migrate.Hydra, text: client[:20], says: "not JSON"},
		{name: "Hydra: lists of Hydra 1", read: migrate.Hydra, text: strings.Replace(client, `["client_credentials"]`, `"implicit|client_credentials"`, 1), keys: 1},
		{name: "Hydra: lists of Hydra 2", read: migrate.Hydra, text: strings.Replace(client, `["client_credentials"]`, `"[\"client_credentials\"]"`, 1), keys: 1},
		{name: "Hydra: a number", read: migrate.Hydra, text: `7`, says: "object was expected"},
		{name: "Hydra: a number in an array", read: migrate.Hydra, text: `[` + client + `,7]`, says: "object was expected"},
		{name: "Hydra: two arrays and a client", read: migrate.Hydra, text: `[` + client + "]\n [] \n[" + strings.Replace(client, `"a"`, `"b"`, 1) + `]` + strings.Replace(client, `"a"`, `"c"`, 1), keys: 3},
		{name: "Hydra: an array cut off", read: migrate.Hydra, text: `[` + client, says: "not JSON"},
		{name: "Hydra: an array cut off after a comma", read: migrate.Hydra, text: `[` + client + `,`, says: "not JSON"},
		{name: "Hydra: an array without a comma", read: migrate.Hydra, text: `[` + client + client + `]`, says: "not JSON"},
		{name: "Hydra: an array that ends twice", read: migrate.Hydra, text: `[` + client + `]]`, says: "not JSON"},
		{name: "Hydra: items of another type", read: migrate.Hydra, text: `{"items":7}`, says: "array was expected"},
		{name: "Keycloak: nothing", read: migrate.Keycloak},
		{name: "Keycloak: two realms", read: migrate.Keycloak, text: `[` + realm + `,` + strings.Replace(realm, `"a"`, `"b"`, 1) + `]`, keys: 2},
		{name: "Keycloak: one id in two realms", read: migrate.Keycloak, text: `[` + realm + `,` + realm + `]`, keys: 1, reason: "same id"},
		{name: "Keycloak: enabled left out", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled":true,`, ``, 1), reason: "disabled"},
		{name: "Keycloak: an expiry that is not a number", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled"`, `"attributes":{"client.secret.expiration.time":"soon"},"enabled"`, 1), reason: "is not a number"},
		{name: "Keycloak: no expiry", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled"`, `"attributes":{"client.secret.expiration.time":"0","x":null},"enabled"`, 1), keys: 1},
		{name: "Keycloak: no id", read: migrate.Keycloak, text: strings.Replace(realm, `"a"`, `""`, 1), reason: "no id", position: "#1"},
		{name: "Keycloak: a member twice", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled"`, `"secret":"t","enabled"`, 1), says: "appears twice"},
		{name: "Keycloak: a member in another case", read: migrate.Keycloak, text: strings.Replace(realm, `"secret"`, `"Secret"`, 1), reason: "only in case", position: "#1"},
		{name: "Keycloak: no realm", read: migrate.Keycloak, text: `{"clientId":"a"}`, says: "pass a realm export"},
		{name: "Keycloak: clients of another type", read: migrate.Keycloak, text: `{"clients":{}}`, says: "wrong type"},
		{name: "Keycloak: users of another type", read: migrate.Keycloak, text: `{"clients":[],"users":[7]}`, says: `"users": it has the wrong type`},
		{name: "Keycloak: roles of another type", read: migrate.Keycloak, text: `{"clients":[],"users":[{"serviceAccountClientId":"a","realmRoles":7}]}`, says: "wrong type"},
		{name: "Keycloak: a user's member in another case", read: migrate.Keycloak, text: `{"clients":[],"users":[{"serviceaccountclientid":"a"}]}`, says: "only in case"},
		{name: "Keycloak: a client that is null", read: migrate.Keycloak, text: `{"clients":[null]}`, reason: "object was expected", position: "#1"},
		{name: "Keycloak: attributes with such names", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled"`, `"attributes":{"Secret":"x","CLIENTID":"y"},"enabled"`, 1), keys: 1},
		{name: "Keycloak: bearer only, with a service account", read: migrate.Keycloak, text: strings.Replace(realm, `"enabled"`, `"bearerOnly":true,"enabled"`, 1), reason: "no service account"},
		{name: "Keycloak: no users", read: migrate.Keycloak, text: `{"clients":[],"users":null}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, err := tc.read(strings.NewReader(tc.text), fromEither)
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			require.Len(t, found.Keys, tc.keys)
			if tc.reason == "" {
				require.Empty(t, found.Skipped)
				return
			}
			require.Len(t, found.Skipped, 1)
			require.Contains(t, found.Skipped[0].Reason, tc.reason)
			if tc.position != "" {
				require.Equal(t, tc.position, found.Skipped[0].ID)
			}
		})
	}
	t.Run("a name that is too long is cut", func(t *testing.T) {
		found, err := migrate.Hydra(strings.NewReader(strings.Replace(client, `{`, `{"client_name":"`+strings.Repeat("ü", 300)+`",`, 1)), fromHydra)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("ü", 255), found.Keys[0].Name)
	})
	t.Run("an earlier expiry of the host is kept", func(t *testing.T) {
		soon := time.Unix(1_700_000_000, 0).UTC()
		found, err := migrate.Hydra(strings.NewReader(strings.Replace(client, `{`, `{"client_secret_expires_at":1893456000,`, 1)),
			func(migrate.Client) (apikey.Spec, error) { return apikey.Spec{Expiry: apikey.Expiry{At: soon}}, nil })
		require.NoError(t, err)
		require.Equal(t, soon, found.Keys[0].Expiry.At)
		found, err = migrate.Hydra(strings.NewReader(strings.Replace(client, `{`, `{"client_secret_expires_at":1600000000,`, 1)),
			func(migrate.Client) (apikey.Spec, error) { return apikey.Spec{Expiry: apikey.Expiry{At: soon}}, nil })
		require.NoError(t, err)
		require.Equal(t, time.Unix(1_600_000_000, 0).UTC(), found.Keys[0].Expiry.At, "not beyond the secret's")
	})
	t.Run("without a mapping nothing is read", func(t *testing.T) {
		for _, read := range []reader{migrate.Hydra, migrate.Keycloak} {
			_, err := read(strings.NewReader(client), nil)
			require.Error(t, err)
		}
	})
	// The full form is what 50,000 clients of a real Hydra take; the other is as large by
	// white space, which is read faster.
	for name, join := range map[string][3]string{"rows": {"", "\n", "\n"}, "an array": {"[", ",", "]"}} {
		t.Run("an export of Hydra of 99 MiB, as "+name, func(t *testing.T) {
			clients, row, size := 200, client, 99<<20
			if os.Getenv("LATCHKEY_SOAK") != "" {
				clients = 50_000
				row = strings.Replace(client, `{`, `{"client_uri":"`+strings.Repeat("u", size/clients-len(client)-20)+`",`, 1)
			} else {
				join[1] += strings.Repeat(" ", size/clients)
			}
			rows := &rowsOf{left: clients, join: join, row: row}
			found, err := migrate.Hydra(rows, func(c migrate.Client) (apikey.Spec, error) { return apikey.Spec{Workspace: c.Owner}, nil })
			require.NoError(t, err)
			require.Len(t, found.Keys, clients)
			require.Greater(t, rows.size, migrate.MaxValue)
		})
	}
	t.Run("an endless export", func(t *testing.T) {
		_, err := migrate.Hydra(io.MultiReader(strings.NewReader(`"`), endless{}), fromHydra)
		require.ErrorContains(t, err, "larger than 67108864 bytes")
	})
}

func fromEither(c migrate.Client) (apikey.Spec, error) {
	if c.Realm != "" {
		return fromKeycloak(c)
	}
	return fromHydra(c)
}

// rowsOf reads many rows, each with an id of its own.
type rowsOf struct {
	left, size int
	row        string
	join       [3]string // before, between, after
	pending    []byte
	begun      bool
}

func (r *rowsOf) Read(p []byte) (int, error) {
	for len(r.pending) == 0 {
		switch {
		case r.left < 0:
			return 0, io.EOF
		case r.left == 0:
			r.pending = append(r.pending, r.join[2]...)
		default:
			text := r.join[1]
			if !r.begun {
				text, r.begun = r.join[0], true
			}
			r.pending = append(r.pending, text+strings.Replace(r.row, `"client_id":"a"`, fmt.Sprintf(`"client_id":"a%d"`, r.left), 1)...)
		}
		r.left--
	}
	n := copy(p, r.pending)
	r.pending, r.size = r.pending[n:], r.size+n
	return n, nil
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// fuzzRead: each returned key has a unique id and either a secret or a digest, and was
// passed to the mapping.
func fuzzRead(f *testing.F, read reader, seeds ...string) {
	for _, name := range seeds {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		asked := 0
		found, err := read(strings.NewReader(text), func(c migrate.Client) (apikey.Spec, error) {
			asked++
			return apikey.Spec{Workspace: "w"}, nil
		})
		if err != nil && !strings.HasPrefix(err.Error(), "migrate: ") {
			t.Fatalf("%v", err)
		}
		if asked != len(found.Keys) {
			t.Fatalf("%d calls of the mapping, %d keys", asked, len(found.Keys))
		}
		seen := map[string]bool{}
		for _, key := range found.Keys {
			if key.ID == "" || seen[key.ID] || (key.Secret == "") == (key.Digest == "") || key.Name == "" || key.Generated || key.Workspace != "w" {
				t.Fatalf("%q", key)
			}
			seen[key.ID] = true
		}
		for _, s := range found.Skipped {
			if s.ID == "" || s.Reason == "" {
				t.Fatalf("%+v", s)
			}
		}
	})
}

func FuzzHydra(f *testing.F) { fuzzRead(f, migrate.Hydra, "hydra-import.json", "hydra-rows.jsonl") }

func FuzzKeycloak(f *testing.F) { fuzzRead(f, migrate.Keycloak, "keycloak-realm.json") }
