package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/latchkey-go/latchkey/oauth"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// openStore opens what -store names; end closes it.
func openStore(_ context.Context, name string) (st store.Store, end func() error, err error) {
	if name == "memory" {
		return memstore.New(), func() error { return nil }, nil
	}
	return st, nil, errors.New("-store: it must be memory")
}

// loadSecrets reads what must not lie in the store, so that a copy of the
// store alone proves no secret and signs no token: 32 bytes of pepper, 32 that
// seal the signing keys. A missing file is made; all replicas on one store
// need the same one, and without it the keys in the store are lost.
func loadSecrets(file string, cfg *oauth.Config) error {
	var fresh [64]byte
	if _, err := rand.Read(fresh[:]); err != nil {
		return err
	}
	// Unlike a rename, a link leaves the file that is there.
	if err := writePrivate(file, fresh[:], os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	text, err := os.ReadFile(file) //nolint:gosec // named by who runs the program
	if err != nil {
		return err
	}
	if len(text) != len(fresh) {
		return fmt.Errorf("-secrets: %s does not hold %d bytes", file, len(fresh))
	}
	cfg.Keys.Peppers = []apikey.Pepper{{Version: 1, Key: text[:32]}}
	cfg.SealKeys = []oauth.SealKey{{Version: 1, Key: text[32:]}}
	return nil
}
