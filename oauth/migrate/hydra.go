package migrate

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

var hydraNames = []string{
	"client_id", "id", "client_name", "client_secret", "client_secret_expires_at", "grant_types", "scope", "owner", "audience", "metadata",
	"token_endpoint_auth_method", "items",
}

// Hydra reads clients of Ory Hydra 1.x and 2.x: a file as `hydra import
// oauth2-client` takes it (in 1.x, `hydra clients import`), with secrets in
// plain text, or rows of the table hydra_client as JSON, whose secrets are
// bcrypt or PBKDF2 digests:
//
//	psql -Atc "SELECT row_to_json(c) FROM hydra_client c" > clients.jsonl
//
// It takes an array, an object with items, or one object after the other; in
// rows, the id is called id, and lists may be text: JSON (2.x) or divided by
// "|" (1.x). Hydra's own API and `hydra list` give no secrets out, so there is
// nothing to import from them.
//
// A client is skipped that may not use client_credentials (Hydra's default is
// authorization_code alone), that authenticates otherwise than by its secret,
// or that has none. What a client may do besides client_credentials is not
// carried over.
//
// An error is the file's as a whole: it cannot be read or is not JSON.
func Hydra(r io.Reader, mapping Mapping) (Result, error) {
	into := &reader{mapping: mapping}
	err := into.values(r, into.hydraValue)
	return into.result, err
}

func (r *reader) hydraValue(value json.RawMessage) error {
	if value[0] == '[' {
		return r.hydraList(value)
	}
	members, err := strictjson.Members(value, hydraNames)
	if err != nil {
		return fmt.Errorf("migrate: Hydra: %w", err)
	}
	if items, there := members.Get("items"); there {
		return r.hydraList(items)
	}
	r.hydraClient(members)
	return nil
}

func (r *reader) hydraList(list json.RawMessage) error {
	elements, err := strictjson.Elements(list)
	if err != nil {
		return fmt.Errorf("migrate: Hydra: %w", err)
	}
	for _, element := range elements {
		members, err := strictjson.Members(element, hydraNames)
		if err != nil {
			r.count++
			r.skip("", "It cannot be read: %v.", err)
			continue
		}
		r.hydraClient(members)
	}
	return nil
}

func (r *reader) hydraClient(members strictjson.Object) {
	r.count++
	f := fields{members: members}
	c := Client{ID: f.text("client_id"), Name: f.text("client_name"), Owner: f.text("owner"), Scopes: strings.Fields(f.text("scope"))}
	if c.ID == "" {
		c.ID = f.text("id")
	}
	c.Audience = f.oldList("audience")
	c.Metadata, _ = members.Get("metadata")
	var expires int64
	f.get("client_secret_expires_at", &expires)
	if expires != 0 {
		c.SecretExpires = time.Unix(expires, 0).UTC()
	}
	grants, method, secret := f.oldList("grant_types"), f.text("token_endpoint_auth_method"), f.text("client_secret")
	switch {
	case f.problem != nil:
		r.skip(c.ID, "It cannot be read: %v.", f.problem)
	case c.ID == "":
		r.skip("", "It has no id.")
	case !slices.Contains(grants, "client_credentials"):
		r.skip(c.ID, "It may not use client_credentials.")
	case method != "" && method != "client_secret_basic" && method != "client_secret_post":
		r.skip(c.ID, "It authenticates by %.40q, not by its secret.", method)
	case secret == "":
		r.skip(c.ID, "The export holds no secret of it.")
	case isDigest(secret):
		r.add(c, credentials{digest: secret})
	case strings.HasPrefix(secret, "$") && strings.Count(secret, "$") > 2:
		// To take it for plain text would let in who knows the digest.
		r.skip(c.ID, "Its secret is a digest of an unknown kind.")
	default:
		r.add(c, credentials{secret: secret})
	}
}

// isDigest tells a digest from a secret in plain text. Whether it is one that
// can be imported, Import says.
func isDigest(text string) bool {
	return slices.ContainsFunc([]string{"$2a$", "$2b$", "$2y$", "$argon2id$", "$argon2i$", "$pbkdf2-"}, func(prefix string) bool {
		return strings.HasPrefix(text, prefix)
	})
}

// oldList reads a list that may be text: JSON in the tables of Hydra 2, words
// divided by "|" in those of Hydra 1.
func (f *fields) oldList(name string) []string {
	if raw, _ := f.members.Get(name); len(raw) == 0 || raw[0] != '"' {
		return f.list(name)
	}
	text := f.text(name)
	if strings.HasPrefix(text, "[") {
		var list []string
		if err := json.Unmarshal([]byte(text), &list); err != nil && f.problem == nil {
			f.problem = fmt.Errorf("its member %q is not a list", name)
		}
		return list
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == '|' })
}
