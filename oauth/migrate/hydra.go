package migrate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

type hydraClient struct {
	ID         string          `json:"client_id"`
	RowID      string          `json:"id"`
	Name       string          `json:"client_name"`
	Owner      string          `json:"owner"`
	Scope      string          `json:"scope"`
	Audience   oldList         `json:"audience"`
	Metadata   json.RawMessage `json:"metadata"`
	GrantTypes oldList         `json:"grant_types"`
	AuthMethod string          `json:"token_endpoint_auth_method"`
	Secret     string          `json:"client_secret"`
	Expires    int64           `json:"client_secret_expires_at"`
}

// Hydra reads clients of Ory Hydra 1.x and 2.x. It accepts a file for `hydra import
// oauth2-client` (in 1.x, `hydra clients import`), with secrets in plain text, or
// rows of the table hydra_client as JSON, with secrets as bcrypt or PBKDF2 digests:
//
//	psql -Atc "SELECT row_to_json(c) FROM hydra_client c" > clients.jsonl
//
// The file may hold an array, an object with items, or several objects. In rows the
// id is called id, and lists may be strings: JSON (2.x) or separated by "|" (1.x).
// Clients cannot be imported from Hydra's API or `hydra list`, because their output
// has no secrets.
//
// It skips clients that may not use client_credentials (Hydra's default is only
// authorization_code), that do not authenticate with a secret, or that have none.
// Other grant types of a client are not imported.
//
// It returns an error if the file cannot be read or is not JSON.
func Hydra(r io.Reader, mapping Mapping) (Result, error) {
	return read(r, mapping, (*reader).hydraValue)
}

func (r *reader) hydraValue(value json.RawMessage) error {
	members, err := strictjson.Members(value, []string{"items"})
	if err != nil {
		return fmt.Errorf("migrate: Hydra: %w", err)
	}
	items, there := members.Get("items")
	if !there {
		r.hydraClient(value)
		return nil
	}
	clients, err := strictjson.Elements(items)
	if err != nil {
		return fmt.Errorf("migrate: Hydra: %w", err)
	}
	for _, client := range clients {
		r.hydraClient(client)
	}
	return nil
}

func (r *reader) hydraClient(value json.RawMessage) {
	r.count++
	var in hydraClient
	err := strictjson.Unmarshal(value, &in)
	c := Client{
		ID: cmp.Or(in.ID, in.RowID), Name: in.Name, Owner: in.Owner, Scopes: strings.Fields(in.Scope), Audience: in.Audience, Metadata: in.Metadata,
	}
	if in.Expires != 0 {
		c.SecretExpires = time.Unix(in.Expires, 0).UTC()
	}
	switch {
	case err != nil:
		r.skip(c.ID, "It cannot be read: %v.", err)
	case c.ID == "":
		r.skip("", "It has no id.")
	case !slices.Contains(in.GrantTypes, "client_credentials"):
		r.skip(c.ID, "It may not use client_credentials.")
	case in.AuthMethod != "" && in.AuthMethod != "client_secret_basic" && in.AuthMethod != "client_secret_post":
		r.skip(c.ID, "It authenticates with %.40q and not with a secret.", in.AuthMethod)
	case in.Secret == "":
		r.skip(c.ID, "The export does not hold its secret.")
	case isDigest(in.Secret):
		r.add(c, apikey.ImportSpec{Digest: in.Secret})
	case strings.HasPrefix(in.Secret, "$") && strings.Count(in.Secret, "$") > 2:
		// If it were used as plain text, the digest itself would be the secret.
		r.skip(c.ID, "Its secret is a digest of an unknown kind.")
	default:
		r.add(c, apikey.ImportSpec{Secret: in.Secret})
	}
}

// isDigest reports whether a secret is a digest and not plain text. Import decides
// whether the digest can be imported.
func isDigest(text string) bool {
	return slices.ContainsFunc([]string{"$2a$", "$2b$", "$2y$", "$argon2id$", "$argon2i$", "$pbkdf2-"}, func(prefix string) bool {
		return strings.HasPrefix(text, prefix)
	})
}

// oldList is a list that may be a string: JSON in the tables of Hydra 2, words
// separated by "|" in those of Hydra 1.
type oldList []string

func (l *oldList) UnmarshalJSON(value []byte) error {
	var text string
	if json.Unmarshal(value, &text) == nil && !strings.HasPrefix(text, "[") {
		*l = strings.FieldsFunc(text, func(r rune) bool { return r == '|' })
		return nil
	}
	if text != "" {
		value = []byte(text)
	}
	if json.Unmarshal(value, (*[]string)(l)) != nil {
		return errors.New("its grant types or audience are not a list")
	}
	return nil
}
