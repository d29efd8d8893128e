package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if _, err := rand.Read(s[:]); err != nil || fleeting {
		return &s, err
	}
	// Unlike a rename, a link leaves the file that is there.
	if err := writePrivate(file, s[:], os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	text, err := os.ReadFile(file) //nolint:gosec // named by who runs the program
	if err == nil && copy(s[:], text) != len(s) {
		err = fmt.Errorf("-secrets: %s does not hold %d bytes", file, len(s))
	}
	return &s, err
}

// credentials is what -bootstrap writes.
type credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// bootstrap makes the first key, which holds every permission, and writes its
// credentials to file, unless the key is there already. It is recognised by
// who made it: a name can be changed. Deleted, it is made anew. The result says
// what was done.
func bootstrap(ctx context.Context, keys *apikey.Service, file string, now time.Time) (string, error) {
	const old = "was made before; its secret is where it was written then"
	maker := apikey.OrganizationAdmin("meshstack -bootstrap")
	page, err := keys.List(ctx, maker, store.KeyQuery{Workspace: adminWorkspace, CreatedBy: maker.Ref(), Limit: 1})
	if err != nil || len(page.Keys) > 0 {
		return old, err
	}
	var before credentials
	if text, err := os.ReadFile(file); err == nil && len(text) > 0 && (json.Unmarshal(text, &before) != nil || before.ClientID == "") { //nolint:gosec // named by who runs the program
		return "", fmt.Errorf("%s holds something else and is not overwritten", file)
	}
	// Of several replicas that start at once, one makes the key.
	once := store.OnceID{Space: "meshstack", ID: "bootstrap", Expires: now.Add(10 * time.Second)}
	key, secret, err := keys.Create(ctx, maker, apikey.Spec{
		Workspace: adminWorkspace, Name: "bootstrap", Permissions: keys.Catalog().All(), Once: &once,
	})
	if errors.Is(err, store.ErrExists) {
		return old, nil
	}
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(credentials{key.ID, secret.Reveal()})
	if err == nil {
		err = writePrivate(file, text, os.Rename)
	}
	if err != nil { // a key whose secret nobody knows
		return "", errors.Join(err, keys.Delete(context.WithoutCancel(ctx), maker, key.ID))
	}
	return "made; its credentials are in " + file, nil
}

// writePrivate writes a file that only its owner reads and that is there whole
// or not at all. place is os.Rename, which overwrites, or os.Link.
func writePrivate(file string, text []byte, place func(from, to string) error) error {
	draft, err := os.CreateTemp(filepath.Dir(file), ".meshstack-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = draft.Write(text)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err == nil {
		err = place(draft.Name(), file)
	}
	if left := os.Remove(draft.Name()); !errors.Is(left, fs.ErrNotExist) {
		err = errors.Join(err, left)
	}
	return err
}
