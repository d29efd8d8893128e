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

// secrets is what must not lie in the store, so that a copy of the store alone
// proves no secret and signs no token: what keys the digests of secrets, seals
// the signing keys, and signs the cursors of lists.
type secrets [96]byte

func (s *secrets) pepper() []byte    { return s[:32] }
func (s *secrets) sealKey() []byte   { return s[32:64] }
func (s *secrets) cursorKey() []byte { return s[64:] }

// loadSecrets reads the file and makes it if it is missing. All replicas on one
// store need the same one, and without it the keys in the store are lost.
// Fleeting secrets are in no file and live as long as the process.
func loadSecrets(file string, fleeting bool) (*secrets, error) {
	var s secrets
	_, _ = rand.Read(s[:]) // never fails
	if fleeting {
		return &s, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // named by who runs the program
	if errors.Is(err, fs.ErrNotExist) {
		draft := file + "." + rand.Text()
		if err = writePrivate(draft, s[:]); err == nil {
			err = os.Link(draft, file) // unlike a rename it leaves what another replica has put there
		}
		if err = errors.Join(err, os.Remove(draft)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err = os.ReadFile(file) //nolint:gosec // as above
	}
	if err == nil && copy(s[:], text) != len(s) {
		err = fmt.Errorf("-secrets: %s does not hold %d bytes", file, len(s))
	}
	return &s, err
}

// writePrivate makes a file that only its owner reads, and returns when the
// disk has it.
func writePrivate(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // named by who runs the program
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// credentials is what -bootstrap writes.
type credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// bootstrap makes the first key, which holds every permission, and puts its
// credentials into file, unless the key is there already. It is recognised by
// who made it: a name can be changed. Deleted, it is made anew. The result says
// what was done.
//
// The credentials lie in a draft, named after the key, before the key is
// stored: wherever the program is killed, the next start finds no key, or the
// draft of the one there is.
func bootstrap(ctx context.Context, keys *apikey.Service, file string, now time.Time) (string, error) {
	var before credentials
	if text, err := os.ReadFile(file); err == nil && len(text) > 0 && (json.Unmarshal(text, &before) != nil || before.ClientID == "") { //nolint:gosec // named by who runs the program
		return "", fmt.Errorf("%s holds something else and is not overwritten", file)
	}
	maker := apikey.OrganizationAdmin("meshstack -bootstrap")
	draft, result := "", "was made before; its secret is where it was written then"
	for range 2 { // what is there, or else what was made
		page, err := keys.List(ctx, maker, store.KeyQuery{Workspace: adminWorkspace, CreatedBy: maker.Ref(), Limit: 1})
		if err != nil {
			return "", err
		}
		if len(page.Keys) > 0 {
			switch err := os.Rename(file+"."+page.Keys[0].ID, file); {
			case err == nil:
				result = "made; its credentials are in " + file
			case !errors.Is(err, fs.ErrNotExist):
				return "", err
			}
			break
		}
		if draft != "" {
			break // it was made, and deleted, within the last seconds
		}
		// Of several replicas that start at once, one makes the key.
		once := store.OnceID{Space: "meshstack", ID: "bootstrap", Expires: now.Add(10 * time.Second)}
		if _, _, err = keys.Create(ctx, maker, apikey.Spec{
			Workspace: adminWorkspace, Name: "bootstrap", Permissions: keys.Catalog().All(), Once: &once,
			Before: func(_ context.Context, key apikey.Key, secret apikey.Secret) error {
				_ = os.Remove(draft) //nolint:errcheck // of the same key, if it has changed since
				draft = file + "." + key.ID
				text, err := json.Marshal(credentials{key.ID, secret.Reveal()})
				return errors.Join(err, writePrivate(draft, text))
			},
		}); err != nil && !errors.Is(err, store.ErrExists) {
			return "", err // the key may have been stored all the same, and has its draft
		}
	}
	_ = os.Remove(draft) //nolint:errcheck // if another replica was faster, it is of no key
	return result, nil
}
