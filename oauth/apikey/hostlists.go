package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

// listsTimeout is how long New waits for the store.
const listsTimeout = 10 * time.Second

// inUse holds the host's lists of peppers and prefixes, and which entries the store
// records as in use because a stored secret names them. The keys of the maps have
// no fingerprint, see nameOnly.
type inUse struct {
	listed hostlist.List      // both lists
	first  [2]store.ListEntry // of each list

	// recorded are the entries that the store is known to have. Other processes may
	// have recorded more.
	mu       sync.Mutex
	recorded map[store.ListEntry]bool

	// sinceCount are the entries of secrets that this process has written, or was about
	// to write, since the count began. The count may not have seen those secrets.
	sinceCount map[store.ListEntry]bool

	counting sync.Mutex
	// count is, for each entry, the number of secrets that name it, among the keys up to
	// the cursor (the field after). A count that was interrupted goes on at the cursor.
	count map[store.ListEntry]int
	after *store.KeyCursor
}

// nameOnly returns an entry with its list and name only.
func nameOnly(e store.ListEntry) store.ListEntry {
	return store.ListEntry{List: e.List, Name: e.Name}
}

// outdated reports whether e is not the first of its list: new secrets do not use it.
func (u *inUse) outdated(e store.ListEntry) bool { return !slices.Contains(u.first[:], nameOnly(e)) }

// entriesOf returns the entries that stored secrets name. A slow digest and one of
// ImportSpec.SHA256 name no pepper, and an imported secret names a prefix only if it
// has the form of a generated one.
func entriesOf(stored ...store.Credential) []store.ListEntry {
	var all []store.ListEntry
	for _, secret := range stored {
		if version, ok := secrets.PepperOf(secret.Digest); ok {
			all = append(all, store.ListEntry{List: store.Peppers, Name: strconv.Itoa(version)})
		}
		if secret.Prefix != "" {
			all = append(all, store.ListEntry{List: store.SecretPrefixes, Name: secret.Prefix})
		}
	}
	return all
}

// completeLists sets the defaults of the lists, and checks the lists and
// Config.Withdrawn.
func completeLists(cfg Config) (Config, *secrets.Hasher, []error) {
	problems := []error{hostlist.CheckTitles(cfg.Withdrawn)}
	cfg.Withdrawn = slices.Clone(cfg.Withdrawn)
	cfg.SecretPrefixes = slices.Clone(cfg.SecretPrefixes)
	if len(cfg.SecretPrefixes) == 0 {
		cfg.SecretPrefixes = []string{secrets.DefaultPrefix}
	}
	for i, prefix := range cfg.SecretPrefixes {
		err := secrets.CheckPrefix(prefix)
		if slices.Contains(cfg.SecretPrefixes[:i], prefix) {
			err = errors.New("it is listed twice")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Config.SecretPrefixes[%d]: %w", i, err))
		}
	}
	hash, err := secrets.NewHasher(cfg.Peppers, cfg.Withdrawn, cfg.Imported)
	if err != nil {
		return cfg, nil, append(problems, err)
	}
	return cfg, hash, append(problems, listed(cfg, hash).CheckWithdrawn(cfg.Withdrawn))
}

// listed returns the entries of both lists.
func listed(cfg Config, hash *secrets.Hasher) hostlist.List {
	l := hash.Peppers()
	for _, prefix := range cfg.SecretPrefixes {
		l = append(l, store.ListEntry{List: store.SecretPrefixes, Name: prefix})
	}
	return l
}

// checkLists fails if an entry that is in use is neither listed nor withdrawn, or is listed
// with another key. It logs the entries in use that are not the first of their list.
func (s *Service) checkLists() error {
	ctx, cancel := context.WithTimeout(context.Background(), listsTimeout)
	defer cancel()
	s.inUse.listed = listed(s.cfg, s.hasher)
	s.inUse.first = [2]store.ListEntry{nameOnly(s.inUse.listed[0]), {List: store.SecretPrefixes, Name: s.cfg.SecretPrefixes[0]}}
	used, missing, err := s.readLists(ctx)
	if err != nil {
		return err
	} else if missing != nil {
		return fmt.Errorf("apikey: %w", missing)
	}
	for _, e := range used {
		if s.inUse.outdated(e) {
			s.cfg.Logger.InfoContext(ctx, "secrets in the store still name this entry", "entry", hostlist.Title(e), "withdrawn", slices.Contains(s.cfg.Withdrawn, hostlist.Title(e)))
		}
	}
	return nil
}

// readLists reads which entries are in use. The error wrong names those that are
// neither listed nor withdrawn, or are listed with another key.
func (s *Service) readLists(ctx context.Context) (used []store.ListEntry, wrong, err error) {
	if used, err = s.store.HostLists.Entries(ctx); err != nil {
		return nil, nil, fmt.Errorf("apikey: read which peppers and prefixes are in use: %w", err)
	}
	used = slices.DeleteFunc(used, func(e store.ListEntry) bool { return e.List != store.Peppers && e.List != store.SecretPrefixes })
	s.inUse.mu.Lock()
	defer s.inUse.mu.Unlock()
	s.inUse.recorded = map[store.ListEntry]bool{}
	for _, e := range used {
		s.inUse.recorded[nameOnly(e)] = true
	}
	return used, s.inUse.listed.Check(used, s.now(), s.cfg.Withdrawn), nil
}

// record records in the store the entries that new secrets name, before the secrets
// are written, so that no process starts without these entries. It leaves out an
// entry that is not listed: New has checked that it is withdrawn.
func (s *Service) record(ctx context.Context, entries ...store.ListEntry) error {
	var fresh []store.ListEntry
	s.inUse.mu.Lock()
	for _, e := range entries {
		if s.inUse.sinceCount != nil {
			s.inUse.sinceCount[e] = true
		}
		if own, ok := s.inUse.listed.Find(e); ok && !s.inUse.recorded[nameOnly(e)] {
			fresh = append(fresh, own)
		}
	}
	s.inUse.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	err := s.store.HostLists.Record(ctx, fresh...)
	switch {
	case errors.Is(err, store.ErrConflict): // another attempt would not help
		return errors.New("apikey: Config.Peppers: a pepper in use has the same version and another key: give the new pepper a version of its own")
	case err != nil:
		return fmt.Errorf("apikey: record which peppers and prefixes are in use: %w", err)
	}
	s.inUse.mu.Lock()
	defer s.inUse.mu.Unlock()
	for _, e := range fresh {
		s.inUse.recorded[nameOnly(e)] = true
	}
	return nil
}
