// Package migrate reads the clients of other authorization servers for
// apikey.Service.Import, so that programs keep the id and the secret that they
// have. It writes nothing: a reader returns what can be imported and what
// cannot, and why, and the host imports what it wants.
//
//	found, err := migrate.Hydra(file, mapping) // or Keycloak, or GoOAuth2
//	for _, client := range found.Keys {
//		_, err := keys.Import(ctx, admin, client)
//	}
//
// Only clients that log in with a secret of their own (client_credentials) can
// become keys. Config.Imported must be set for keys to log in with secrets
// that Latchkey did not make.
//
// # A table of your own
//
// Call apikey.Service.Import for each row, with the id that programs know. A
// bcrypt, argon2id or PBKDF2 digest goes in as it is, a secret that can be read
// as Secret. One of which only a fast hash is left (SHA-256, MD5) cannot be
// imported, for such a hash of a password is as good as the password. Its
// programs need no new one all the same: keep the old check beside Latchkey for
// a while, and where it proves a secret, import the key with that Secret. What
// has not come by then gets a new key.
package migrate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// MaxExport is how many bytes a reader takes. It holds an export in memory; of
// a Keycloak realm with very many users, export the users elsewhere.
const MaxExport = 64 << 20

// maxName is how many characters of a foreign name become the key's.
const maxName = 255

// Client is what an export says of one client, for the host to decide which
// key it becomes. Its secret is not in it. What the other system does not have
// is empty.
type Client struct {
	ID          string
	Name        string
	Description string // Keycloak
	Realm       string // Keycloak
	Owner       string // Hydra
	// Scopes are those the client may ask for: of Keycloak, the default client
	// scopes, which its tokens always carry.
	Scopes         []string
	OptionalScopes []string // Keycloak: those it has to ask for
	// Roles are those of a Keycloak client's service account: a realm's role
	// by its name, another client's as client/role.
	Roles      []string
	Audience   []string          // Hydra
	Metadata   json.RawMessage   // Hydra: what was stored with the client
	Attributes map[string]string // Keycloak, secrets left out
	// SecretExpires is when the other system stops taking the secret; zero is
	// never.
	SecretExpires time.Time
}

// Mapping is the host's: workspace, permissions and whatever else the key of a
// client shall have. Without a name the key gets the client's name or its id.
// Its expiry is at the latest that of the client's secret. An error leaves the
// client out and is the reason.
type Mapping func(Client) (apikey.Spec, error)

// Result is what a reader found, in the order of the export.
type Result struct {
	// Keys can be imported. Generated is false in all of them: set it where
	// the secrets are known to be random with at least 128 bits, as those are
	// that the other system made itself, and slow digests are replaced by fast
	// ones at the first login.
	Keys    []apikey.ImportSpec
	Skipped []Skipped
}

// Skipped is a client that was left out.
type Skipped struct {
	// ID is the client's; where it has none, "#" and its position from 1.
	ID     string
	Reason string // one plain sentence
}

// reader gathers a Result.
type reader struct {
	mapping Mapping
	result  Result
	taken   map[string]bool
	count   int
}

func (r *reader) skip(id, format string, args ...any) {
	if id == "" {
		id = fmt.Sprintf("#%d", r.count)
	}
	r.result.Skipped = append(r.result.Skipped, Skipped{id, fmt.Sprintf(format, args...)})
}

// add asks the mapping about a client. key has its secret or the digest.
func (r *reader) add(c Client, key apikey.ImportSpec) {
	if r.taken[c.ID] {
		r.skip(c.ID, "An earlier client of this export has the same id.")
		return
	}
	var err error
	if key.Spec, err = r.mapping(c); err != nil {
		r.skip(c.ID, "The host's mapping left it out: %v.", err)
		return
	}
	key.ID, key.Name = c.ID, cmp.Or(key.Name, cut(c.Name), cut(c.ID))
	if at := key.Expiry.At; !c.SecretExpires.IsZero() && (at.IsZero() || c.SecretExpires.Before(at)) {
		key.Expiry = apikey.Expiry{At: c.SecretExpires}
	}
	r.taken[c.ID] = true
	r.result.Keys = append(r.result.Keys, key)
}

// cut keeps the first maxName characters.
func cut(name string) string {
	if utf8.RuneCountInString(name) <= maxName {
		return name
	}
	return string([]rune(name)[:maxName])
}

// read has each JSON value of an export read, one after the other: a file of JSON
// lines has many.
func read(from io.Reader, mapping Mapping, value func(*reader, json.RawMessage) error) (Result, error) {
	r := &reader{mapping: mapping, taken: make(map[string]bool)}
	err := r.values(from, value)
	return r.result, err
}

func (r *reader) values(from io.Reader, yield func(*reader, json.RawMessage) error) error {
	if r.mapping == nil {
		return errors.New("migrate: there is no Mapping")
	}
	limited := &io.LimitedReader{R: from, N: MaxExport + 1}
	decoder := json.NewDecoder(limited)
	for {
		var value json.RawMessage
		err := decoder.Decode(&value)
		switch {
		case limited.N == 0:
			return fmt.Errorf("migrate: the export has more than %d bytes", MaxExport)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("migrate: the export is not JSON: %w", err)
		}
		if err := yield(r, value); err != nil {
			return err
		}
	}
}
