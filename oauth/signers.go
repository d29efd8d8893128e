package oauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// signersInUse is how long a host's signer counts as in use after it is recorded: the
// longest lifetime of a token, the longest leeway, an hour for clocks that differ,
// and the time until recordSigner records it again.
const (
	signersInUse   = hostlist.LongestToken + bearer.MaxLeeway + time.Hour + recordEvery
	recordEvery    = time.Hour
	signersTimeout = 10 * time.Second
)

// startSigners fails if Config.Signers lacks a signer that is in use. Otherwise it
// records the signer that signs.
func (s *Server) startSigners() error {
	ctx, cancel := context.WithTimeout(context.Background(), signersTimeout)
	defer cancel()
	used, err := s.store.HostLists.Entries(ctx)
	if err != nil {
		return fmt.Errorf("read which signers are in use: %w", err)
	}
	used = slices.DeleteFunc(used, func(e store.ListEntry) bool { return e.List != store.Signers })
	now, err := s.storeClock(ctx)
	if err != nil {
		return err
	}
	if err := s.signers.Check(used, now, s.cfg.APIKeys.Withdrawn); err != nil {
		return err
	}
	return s.recordSigner(ctx)
}

// recordSigner records in the store that the first of Config.Signers is in use,
// unless it did so within recordEvery.
func (s *Server) recordSigner(ctx context.Context) error {
	began, last := s.cfg.Now().UnixMicro(), s.recorded.Load()
	if len(s.signers) == 0 || last <= began && began < last+recordEvery.Microseconds() {
		return nil
	}
	now, err := s.storeClock(ctx)
	if err != nil {
		return err
	}
	e := s.signers[0]
	e.Until = now.Add(signersInUse)
	err = s.store.HostLists.Record(ctx, e)
	switch {
	case errors.Is(err, store.ErrConflict):
		return fmt.Errorf("Config.Signers: %s: another key was recorded under this name: give the new signer another name: %w", hostlist.Title(e), err)
	case err != nil:
		return fmt.Errorf("record that %s is in use: %w", hostlist.Title(e), err)
	}
	s.recorded.Store(began)
	return nil
}

// storeClock returns the time of the store or, if it has no clock, of this process.
func (s *Server) storeClock(ctx context.Context) (time.Time, error) {
	now, err := s.store.Upkeep.Clock(ctx)
	if err != nil {
		return now, fmt.Errorf("read the store's clock: %w", err)
	}
	if now.IsZero() {
		now = s.cfg.Now()
	}
	return now.UTC().Truncate(time.Microsecond), nil
}

// entryOf returns the entry that records a signer in the store.
func entryOf(p jose.PublicKey) (store.ListEntry, error) {
	e := store.ListEntry{List: store.Signers, Name: p.ID}
	bytes, secret := p.Key.([]byte)
	if !secret {
		var err error
		if bytes, err = x509.MarshalPKIXPublicKey(p.Key); err != nil {
			return e, err
		}
	}
	e.Fingerprint = hostlist.Fingerprint(bytes)
	return e, nil
}
