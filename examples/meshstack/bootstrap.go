package main

import (
	"context"
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

// credentials is what -bootstrap writes.
type credentials struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// bootstrap makes the first key, which holds every permission, and writes its
// credentials to file, unless the key is there already. It is recognised by
// who made it: a name can be changed. Deleted, it is made anew.
func bootstrap(ctx context.Context, keys *apikey.Service, file string, now time.Time) (made bool, err error) {
	maker := apikey.OrganizationAdmin("meshstack -bootstrap")
	mine := store.KeyQuery{Workspace: adminWorkspace, CreatedBy: maker.Ref(), Limit: 1}
	if page, err := keys.List(ctx, maker, mine); err != nil || len(page.Keys) > 0 {
		return false, err
	}
	var old credentials
	if text, err := os.ReadFile(file); err != nil && !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // named by who runs the program
		return false, err
	} else if len(text) > 0 && (json.Unmarshal(text, &old) != nil || old.ClientID == "") {
		return false, fmt.Errorf("%s holds something else and is not overwritten", file)
	}
	// Of several replicas that start at once, one makes the key.
	once := store.OnceID{Space: "meshstack", ID: "bootstrap", Expires: now.Add(10 * time.Second)}
	key, secret, err := keys.Create(ctx, maker, apikey.Spec{
		Workspace: adminWorkspace, Name: "bootstrap", Permissions: keys.Catalog().All(), Once: &once,
	})
	if errors.Is(err, store.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, err := json.Marshal(credentials{key.ID, secret.Reveal()})
	if err == nil {
		err = writePrivate(file, text, os.Rename)
	}
	if err != nil { // a key whose secret nobody knows
		return false, errors.Join(err, keys.Delete(context.WithoutCancel(ctx), maker, key.ID))
	}
	return true, nil
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
