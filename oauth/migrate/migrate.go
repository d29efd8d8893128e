// Package migrate reads the clients of other authorization servers for
// apikey.Service.Import, so that programs keep their ids and secrets. It writes
// nothing: each function returns the clients that can be imported, and those that
// cannot with the reason. The host decides which to import.
//
//	found, err := migrate.Hydra(file, mapping) // or Keycloak, GoOAuth2, CSV, JSONLines
//	for _, client := range found.Keys {
//		_, err := keys.Import(ctx, admin, client)
//	}
//
// Only clients that log in with a secret (client_credentials) can become keys. Keys
// can log in with secrets that Latchkey did not generate only if Options.Imported
// (oauth.Config.APIKeys.Imported) is set.
//
// # Import from your own table
//
// Call apikey.Service.Import for each row, with the id that programs use. Pass a
// bcrypt, argon2id or PBKDF2 digest unchanged, and a secret in plain text as Secret.
//
// If your table has the SHA-256 of random secrets, CSV and JSONLines read it. Programs
// may even go on to send the secret alone, without its id: set Spec.Direct in the
// mapping, and see bearer.Guard.OrSecret.
//
// Any other fast hash (MD5, a salted SHA-256, the SHA-256 of a password) cannot be
// imported, because a password is easily guessed from it. Programs can still keep such
// secrets: run the old check beside Latchkey for a while, and when it accepts a secret,
// import the key with that Secret. Clients that have not logged in by the end of that
// time get a new key.
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

// MaxValue is the maximum size of one JSON value of an export, in bytes. A value is one
// client, a Keycloak realm or an object with items, but not an array of these. An
// export may have any number of values. They are read one after the other, and
// memory grows only by what Result holds. If a Keycloak realm has very many users,
// export them to other files.
const MaxValue = 64 << 20

// maxName is the maximum length of a key's name, in characters. Longer names are
// cut.
const maxName = 255

// Client describes a client of an export, without its secret. The host decides
// which key it becomes. Fields that the other system does not have are empty.
type Client struct {
	ID          string
	Name        string
	Description string // Keycloak
	Realm       string // Keycloak
	Owner       string // Hydra
	// Scopes are the scopes that the client may request. For Keycloak they are
	// the default client scopes, which all its tokens have.
	Scopes         []string
	OptionalScopes []string // Keycloak: scopes that a login must request
	// Roles are the roles of a Keycloak client's service account: a realm role as
	// its name, a role of another client as client/role.
	Roles      []string
	Audience   []string          // Hydra
	Metadata   json.RawMessage   // Hydra: the metadata stored with the client
	Attributes map[string]string // Keycloak, without secrets
	// Workspace is the workspace in a table; see CSV and JSONLines.
	Workspace string
	// Created is when the key was created, as it stands in a table.
	Created string
	// SecretExpires is when the secret expires in the other system; zero: never.
	SecretExpires time.Time

	expiryDate string // see apikey.Expiry
}

// Mapping is a function of the host. It returns the workspace, the permissions and
// the other fields of a client's key. Without a name the key gets the client's name
// or id, and without a workspace the client's. The key's expiry is not later than that of the client's secret. If Mapping
// returns an error, the client is skipped with that reason.
type Mapping func(Client) (apikey.Spec, error)

// Result lists the clients of an export, in its order.
type Result struct {
	// Keys can be imported. Generated is false in all of them. Set it if the
	// secrets are known to be random with at least 128 bits, as those that the
	// other system generated; then a slow digest is replaced by a fast one at the
	// first login. For a SHA-256 it is required.
	Keys    []apikey.ImportSpec
	Skipped []Skipped
}

// Skipped is a client that cannot be imported.
type Skipped struct {
	// ID is the client's id. If it has none, it is "#" and the position from 1.
	ID     string
	Reason string // one sentence
}

// reader builds a Result.
type reader struct {
	mapping Mapping
	result  Result
	seen    map[string]bool
	count   int
	line    int // of a table; 0 for other exports
}

func (r *reader) skip(id, format string, args ...any) {
	if id == "" {
		id = fmt.Sprintf("#%d", r.count)
	}
	reason := fmt.Sprintf(format, args...)
	if r.line > 0 {
		reason = fmt.Sprintf("Line %d: %s", r.line, reason)
	}
	r.result.Skipped = append(r.result.Skipped, Skipped{id, reason})
}

// add adds a client with the fields that the mapping returns. key holds the client's
// secret or digest.
func (r *reader) add(c Client, key apikey.ImportSpec) {
	if r.seen[c.ID] {
		r.skip(c.ID, "An earlier client of this export has the same id.")
		return
	}
	var err error
	if key.Spec, err = r.mapping(c); err != nil {
		r.skip(c.ID, "The host's mapping skipped it: %v.", err)
		return
	}
	key.ID, key.Name, key.Workspace = c.ID, cmp.Or(key.Name, cut(c.Name), cut(c.ID)), cmp.Or(key.Workspace, c.Workspace)
	if at := key.Expiry.At; !c.SecretExpires.IsZero() && (at.IsZero() || c.SecretExpires.Before(at)) {
		key.Expiry = apikey.Expiry{At: c.SecretExpires, Date: c.expiryDate}
	}
	r.seen[c.ID] = true
	r.result.Keys = append(r.result.Keys, key)
}

var errNoMapping = errors.New("migrate: the Mapping must not be nil")

// cut keeps the first maxName characters.
func cut(name string) string {
	if utf8.RuneCountInString(name) <= maxName {
		return name
	}
	return string([]rune(name)[:maxName])
}

// read calls value for each JSON value of an export: the elements of an array, or
// the values of a file of JSON lines.
func read(from io.Reader, mapping Mapping, value func(*reader, json.RawMessage) error) (Result, error) {
	r := &reader{mapping: mapping, seen: make(map[string]bool)}
	err := r.values(from, value)
	return r.result, err
}

func (r *reader) values(from io.Reader, yield func(*reader, json.RawMessage) error) error {
	if r.mapping == nil {
		return errNoMapping
	}
	limited := &io.LimitedReader{R: from}
	decoder := json.NewDecoder(limited)
	for inArray := false; ; {
		limited.N = MaxValue + 1 // for the next value
		more, first := decoder.More(), [1]byte{}
		_, _ = decoder.Buffered().Read(first[:]) //nolint:errcheck // the value's first byte, or none at the end
		var value json.RawMessage
		var err error
		begins, ends := !inArray && first[0] == '[', inArray && !more
		if begins || ends {
			_, err = decoder.Token()
		} else {
			err = decoder.Decode(&value)
		}
		switch {
		case err != nil && limited.N == 0:
			return fmt.Errorf("migrate: a value of the export is larger than %d bytes", MaxValue)
		case errors.Is(err, io.EOF) && !inArray:
			return nil
		case err != nil:
			return fmt.Errorf("migrate: the export is not JSON: %w", err)
		case begins || ends:
			inArray = begins
		default:
			if err := yield(r, value); err != nil {
				return err
			}
		}
	}
}
