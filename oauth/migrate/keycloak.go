package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

type keycloakRealm struct {
	Name    string            `json:"realm"`
	Clients []json.RawMessage `json:"clients"`
	Users   []keycloakUser    `json:"users"`
}

type keycloakClient struct {
	ID              string             `json:"clientId"`
	Name            string             `json:"name"`
	Description     string             `json:"description"`
	Enabled         bool               `json:"enabled"`
	AuthMethod      string             `json:"clientAuthenticatorType"`
	Secret          string             `json:"secret"`
	BearerOnly      bool               `json:"bearerOnly"`
	Public          bool               `json:"publicClient"`
	ServiceAccounts bool               `json:"serviceAccountsEnabled"`
	Protocol        string             `json:"protocol"`
	Attributes      map[string]*string `json:"attributes"`
	DefaultScopes   []string           `json:"defaultClientScopes"`
	OptionalScopes  []string           `json:"optionalClientScopes"`
}

// keycloakUser is a user. If Client is not empty, it is the service account of that
// client.
type keycloakUser struct {
	Client      string              `json:"serviceAccountClientId"`
	Enabled     *bool               `json:"enabled"`
	RealmRoles  []string            `json:"realmRoles"`
	ClientRoles map[string][]string `json:"clientRoles"`
}

const (
	secretExpiration = "client.secret.expiration.time"
	rotatedSecret    = "client.secret.rotated"
)

// Keycloak reads the clients of a realm export of Keycloak 17 and later (`kc.sh
// export --file realm.json`): one realm or an array of realms. Such an export holds
// secrets in plain text.
//
// The console's partial export masks secrets with "**********"; such clients are
// skipped. It also skips clients that are public, disabled, of SAML, without a
// secret, without a service account or with a disabled one, and clients that
// authenticate with a JWT or certificate. To import a disabled client, enable it in
// Keycloak first, or import it by hand and call Disable.
//
// A secret that a rotation policy has replaced is not imported. If two realms have a
// client with the same id, only the first one is imported. Roles are those of the
// service accounts in the same file, so export the users with it (--users same_file
// or realm_file).
//
// It returns an error if the file cannot be read, is not JSON or is not a realm
// export.
func Keycloak(r io.Reader, mapping Mapping) (Result, error) {
	return read(r, mapping, (*reader).keycloakValue)
}

func (r *reader) keycloakValue(value json.RawMessage) error {
	var realm keycloakRealm
	if err := strictjson.Unmarshal(value, &realm); err != nil {
		return fmt.Errorf("migrate: Keycloak: %w", err)
	}
	if realm.Clients == nil {
		return errors.New("migrate: Keycloak: the file has no clients: pass a realm export of kc.sh")
	}
	accounts := make(map[string]keycloakUser)
	for _, user := range realm.Users {
		accounts[user.Client] = user
	}
	for _, client := range realm.Clients {
		r.keycloakClient(realm.Name, client, accounts)
	}
	return nil
}

func (r *reader) keycloakClient(realm string, value json.RawMessage, accounts map[string]keycloakUser) {
	r.count++
	var in keycloakClient
	err := strictjson.Unmarshal(value, &in)
	account := accounts[in.ID]
	c := Client{
		ID: in.ID, Name: in.Name, Description: in.Description, Realm: realm,
		Scopes: in.DefaultScopes, OptionalScopes: in.OptionalScopes, Roles: account.roles(), Attributes: make(map[string]string),
	}
	for name, value := range in.Attributes {
		if value != nil && name != rotatedSecret {
			c.Attributes[name] = *value
		}
	}
	if at := c.Attributes[secretExpiration]; err == nil && at != "" && at != "0" {
		c.SecretExpires, err = unixTime(at)
	}
	switch {
	case err != nil:
		r.skip(c.ID, "It cannot be read: %v.", err)
	case c.ID == "":
		r.skip("", "It has no id.")
	case in.Protocol != "" && in.Protocol != "openid-connect":
		r.skip(c.ID, "It is a client of %.40q.", in.Protocol)
	case in.Public:
		r.skip(c.ID, "It is a public client.")
	case in.BearerOnly || !in.ServiceAccounts:
		r.skip(c.ID, "It has no service account, so it may not use client_credentials.")
	case !in.Enabled:
		r.skip(c.ID, "It is disabled.")
	case account.Enabled != nil && !*account.Enabled:
		r.skip(c.ID, "Its service account is disabled.")
	case in.AuthMethod != "" && in.AuthMethod != "client-secret":
		r.skip(c.ID, "It authenticates with %.40q and not with a secret.", in.AuthMethod)
	case in.Secret == "":
		r.skip(c.ID, "The export does not hold its secret.")
	case strings.Trim(in.Secret, "*") == "":
		r.skip(c.ID, "The export masks its secret, as the console's partial export does: use kc.sh export.")
	case strings.HasPrefix(in.Secret, "${"):
		r.skip(c.ID, "Its secret is a reference to a vault or a variable.")
	default:
		r.add(c, apikey.ImportSpec{Secret: in.Secret})
	}
}

func unixTime(text string) (time.Time, error) {
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("its attribute %q is not a number", secretExpiration)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (u keycloakUser) roles() []string {
	roles := u.RealmRoles
	for client, names := range u.ClientRoles {
		for _, name := range names {
			roles = append(roles, client+"/"+name)
		}
	}
	slices.Sort(roles)
	return roles
}
