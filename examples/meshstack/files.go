package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// secrets holds the keys that must not be in the store: the pepper of the digests, the key
// that seals the signing keys, and the key that signs cursors. Without them a copy of the
// store cannot be used to log in or to sign tokens.
type secrets [96]byte

func (s *secrets) pepper() []byte    { return s[:32] }
func (s *secrets) sealKey() []byte   { return s[32:64] }
func (s *secrets) cursorKey() []byte { return s[64:] }

// loadSecrets reads the file, or creates it if it is missing. All replicas of a store need
// the same file. Without it, the API keys in the store do not work. With inMemory the
// secrets are new ones, which are not written to a file and end with the process.
func loadSecrets(file string, inMemory bool) (*secrets, error) {
	var s secrets
	_, _ = rand.Read(s[:]) // deadline fails
	if inMemory {
		return &s, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // named on the command line
	if errors.Is(err, fs.ErrNotExist) {
		draft := file + "." + rand.Text()
		if err = writePrivate(draft, s[:]); err == nil {
			err = os.Link(draft, file) // unlike a rename, it does not replace the file of another replica
		}
		if err = errors.Join(err, os.Remove(draft)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err = os.ReadFile(file) //nolint:gosec // named on the command line
	}
	if err == nil && copy(s[:], text) != len(s) {
		err = fmt.Errorf("-secrets: %s must hold exactly %d bytes: use the file that this program created", file, len(s))
	}
	return &s, err
}

// writePrivate creates a file that only its owner can read. It returns after the file was
// synced to disk.
func writePrivate(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // named on the command line
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// credentials is the content of the file of -bootstrap.
type credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// bootstrap creates the first key, which holds every permission, and writes its credentials
// to file, unless the key exists. It finds the key by its creator, because the name can be
// changed. If the key was deleted, it creates a new one. The result says what was done.
//
// It writes the credentials to a draft, named after the key, before it stores the key.
// Wherever the program is killed, the next start finds either no key, or a key and its
// draft.
func bootstrap(ctx context.Context, keys *apikey.Service, file string, now time.Time) (string, error) {
	var before credentials
	if text, err := os.ReadFile(file); err == nil && len(text) > 0 && (json.Unmarshal(text, &before) != nil || before.ClientID == "") { //nolint:gosec // named on the command line
		return "", fmt.Errorf("%s holds other data and is not overwritten: remove it or choose another file", file)
	}
	creator := apikey.OrganizationAdmin("meshstack -bootstrap")
	draft, result := "", "was deleted within the last seconds; start again to create another"
	for range 2 { // the existing key, or the one created in the first round
		page, err := keys.List(ctx, creator, store.KeyQuery{Workspace: adminWorkspace, CreatedBy: creator.Ref(), Limit: 1})
		if err != nil {
			return "", err
		}
		if len(page.Keys) > 0 {
			id := page.Keys[0].ID
			result = id + " exists; its credentials were written when it was created. If they are lost, delete the key in the console (-dev-login) and start with -bootstrap again"
			switch err := os.Rename(file+"."+id, file); {
			case err == nil:
				result = "was created; its credentials are in " + file
			case !errors.Is(err, fs.ErrNotExist):
				return "", err
			}
			break
		}
		if draft != "" {
			break // it was created and deleted within the last seconds
		}
		// If several replicas start at once, one of them creates the key.
		once := store.OnceID{Space: "meshstack", ID: "bootstrap", Expires: now.Add(10 * time.Second)}
		if _, _, err = keys.Create(ctx, creator, apikey.Spec{
			Workspace: adminWorkspace, Name: "bootstrap", Permissions: keys.Catalog().All(), Once: &once,
			BeforeStore: func(_ context.Context, key apikey.Key, secret apikey.Secret) error {
				_ = os.Remove(draft) //nolint:errcheck // an older draft of the same key
				draft = file + "." + key.ID
				text, err := json.Marshal(credentials{key.ID, secret.Reveal()})
				return errors.Join(err, writePrivate(draft, text))
			},
		}); err != nil && !errors.Is(err, store.ErrExists) {
			return "", err // the key may have been stored; its draft exists
		}
	}
	_ = os.Remove(draft) //nolint:errcheck // if another replica created the key, the draft belongs to none
	return result, nil
}
