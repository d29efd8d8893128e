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

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

var (
	realmNames  = []string{"realm", "clients", "users"}
	clientNames = []string{
		"clientId", "name", "description", "enabled", "clientAuthenticatorType", "secret", "bearerOnly", "publicClient",
		"serviceAccountsEnabled", "protocol", "attributes", "defaultClientScopes", "optionalClientScopes",
	}
	userNames = []string{"enabled", "serviceAccountClientId", "realmRoles", "clientRoles"}
)

const (
	secretExpiration = "client.secret.expiration.time"
	rotatedSecret    = "client.secret.rotated"
)

// Keycloak reads the clients of a realm export of Keycloak 17 and up (`kc.sh
// export --file realm.json`), one realm or an array of them. Its secrets are
// in plain text.
//
// The console's partial export writes "**********" in their place: such
// clients are skipped. So are public ones and those without a service account,
// without a secret, disabled, with a disabled service account, of SAML, or
// that authenticate by JWT or certificate. A disabled client is left out
// rather than imported disabled: enable it there first, or import it by hand
// and call Disable.
//
// A secret that a rotation policy has replaced is not carried over; ids that
// two realms share come from the first of them only, and roles are those of
// the service accounts in the same file (export users with it: --users
// same_file or realm_file).
//
// An error is the file's as a whole: it cannot be read, is not JSON or no
// realm export.
func Keycloak(r io.Reader, mapping Mapping) (Result, error) {
	into := &reader{mapping: mapping}
	err := into.values(r, func(value json.RawMessage) error {
		realms := []json.RawMessage{value}
		if value[0] == '[' {
			var err error
			if realms, err = strictjson.Elements(value); err != nil {
				return fmt.Errorf("migrate: Keycloak: %w", err)
			}
		}
		for _, realm := range realms {
			if err := into.realm(realm); err != nil {
				return fmt.Errorf("migrate: Keycloak: %w", err)
			}
		}
		return nil
	})
	return into.result, err
}

func (r *reader) realm(value json.RawMessage) error {
	members, err := strictjson.Members(value, realmNames)
	if err != nil {
		return err
	}
	list, there := members.Get("clients")
	if !there {
		return errors.New("there are no clients: is this a realm export?")
	}
	clients, err := strictjson.Elements(list)
	if err != nil {
		return fmt.Errorf("clients: %w", err)
	}
	accounts, err := serviceAccounts(members)
	if err != nil {
		return fmt.Errorf("users: %w", err)
	}
	f := fields{members: members}
	realm := f.text("realm")
	if f.problem != nil {
		return f.problem
	}
	for _, element := range clients {
		r.count++
		client, err := strictjson.Members(element, clientNames)
		if err != nil {
			r.skip("", "It cannot be read: %v.", err)
			continue
		}
		r.keycloakClient(realm, fields{members: client}, accounts)
	}
	return nil
}

func (r *reader) keycloakClient(realm string, f fields, accounts map[string]account) {
	c := Client{
		ID: f.text("clientId"), Name: f.text("name"), Description: f.text("description"), Realm: realm,
		Scopes: f.list("defaultClientScopes"), OptionalScopes: f.list("optionalClientScopes"),
	}
	f.attributes(&c)
	account := accounts[c.ID]
	c.Roles = account.roles
	protocol, method, secret := f.text("protocol"), f.text("clientAuthenticatorType"), f.text("secret")
	enabled, public, bearerOnly, service := f.truth("enabled"), f.truth("publicClient"), f.truth("bearerOnly"), f.truth("serviceAccountsEnabled")
	switch {
	case f.problem != nil:
		r.skip(c.ID, "It cannot be read: %v.", f.problem)
	case c.ID == "":
		r.skip("", "It has no id.")
	case protocol != "" && protocol != "openid-connect":
		r.skip(c.ID, "It is a client of %.40q.", protocol)
	case public:
		r.skip(c.ID, "It is a public client.")
	case bearerOnly || !service:
		r.skip(c.ID, "It has no service account, so that it may not use client_credentials.")
	case !enabled:
		r.skip(c.ID, "It is disabled.")
	case account.disabled:
		r.skip(c.ID, "Its service account is disabled.")
	case method != "" && method != "client-secret":
		r.skip(c.ID, "It authenticates by %.40q, not by its secret.", method)
	case secret == "":
		r.skip(c.ID, "The export holds no secret of it.")
	case strings.Trim(secret, "*") == "":
		r.skip(c.ID, "The export masks its secret: the console's partial export does, kc.sh export does not.")
	case strings.HasPrefix(secret, "${"):
		r.skip(c.ID, "Its secret is a reference to a vault or a variable.")
	default:
		r.add(c, credentials{secret: secret})
	}
}

// attributes reads the client's attributes and when its secret expires.
func (f *fields) attributes(c *Client) {
	all := make(map[string]*string)
	f.get("attributes", &all)
	c.Attributes = make(map[string]string, len(all))
	for name, value := range all {
		if value != nil && name != rotatedSecret {
			c.Attributes[name] = *value
		}
	}
	text := c.Attributes[secretExpiration]
	if text == "" || text == "0" || f.problem != nil {
		return
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f.problem = fmt.Errorf("its attribute %q is not a number", secretExpiration)
		return
	}
	c.SecretExpires = time.Unix(seconds, 0).UTC()
}

// account is the user that stands for a client which acts for itself.
type account struct {
	disabled bool
	roles    []string
}

func serviceAccounts(realm strictjson.Object) (map[string]account, error) {
	accounts := make(map[string]account)
	list, there := realm.Get("users")
	if !there || string(list) == "null" {
		return accounts, nil
	}
	users, err := strictjson.Elements(list)
	if err != nil {
		return nil, err
	}
	for i, user := range users {
		members, err := strictjson.Members(user, userNames)
		if err != nil {
			return nil, fmt.Errorf("user %d: %w", i+1, err)
		}
		f := fields{members: members}
		id := f.text("serviceAccountClientId")
		if id == "" && f.problem == nil {
			continue
		}
		enabled := true
		f.get("enabled", &enabled)
		roles := f.list("realmRoles")
		of := make(map[string][]string)
		f.get("clientRoles", &of)
		if f.problem != nil {
			return nil, fmt.Errorf("user %d: %w", i+1, f.problem)
		}
		for client, names := range of {
			for _, name := range names {
				roles = append(roles, client+"/"+name)
			}
		}
		slices.Sort(roles)
		accounts[id] = account{!enabled, roles}
	}
	return accounts, nil
}
