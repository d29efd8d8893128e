package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/store"
)

// listsTimeout bounds how long New waits for the store.
const listsTimeout = 10 * time.Second

// inUse are the lists whose entries secrets name, and what this process knows to
// be recorded of them in the store.
type inUse struct {
	lists []hostlist.List

	mu       sync.Mutex
	recorded map[entry]bool

	counting sync.Mutex
	// count is of the keys up to after: a count that was cut off.
	count map[entry]int
	after *store.KeyCursor
}

// entry is one of a host's list, such as a pepper by its version.
type entry struct {
	list store.ListName
	name string
}

func (e entry) String() string { return hostlist.KindOf(e.list).Title(e.name) }

// entriesOf returns what a stored secret names. A slow digest names no pepper, and
// an imported secret no prefix.
func entriesOf(secret *store.Secret) []entry {
	var all []entry
	if version, _, ok := splitDigest(secret.Digest); ok {
		all = append(all, entry{store.Peppers, strconv.Itoa(version)})
	}
	if secret.Prefix != "" {
		all = append(all, entry{store.SecretPrefixes, secret.Prefix})
	}
	return all
}

// completeLists checks the lists and Config.Withdrawn.
func completeLists(cfg Config) (Config, *hasher, []error) {
	problems := []error{hostlist.CheckWithdrawn(cfg.Withdrawn)}
	cfg.Withdrawn = slices.Clone(cfg.Withdrawn)
	cfg.SecretPrefixes = slices.Clone(cfg.SecretPrefixes)
	if len(cfg.SecretPrefixes) == 0 {
		cfg.SecretPrefixes = []string{defaultPrefix}
	}
	for i, prefix := range cfg.SecretPrefixes {
		err := checkPrefix(prefix)
		switch {
		case prefix == "":
			err = errors.New("it is empty")
		case err == nil && slices.Contains(cfg.SecretPrefixes[:i], prefix):
			err = errors.New("it is there twice")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("Config.SecretPrefixes[%d]: %w", i, err))
		}
	}
	hash, err := newHasher(cfg.Peppers, cfg.Withdrawn)
	if err != nil {
		return cfg, nil, append(problems, err)
	}
	for _, l := range []hostlist.List{hash.list(), prefixList(cfg.SecretPrefixes)} {
		problems = append(problems, l.CheckWithdrawn(cfg.Withdrawn))
	}
	return cfg, hash, problems
}

func prefixList(prefixes []string) hostlist.List {
	l := hostlist.List{Name: store.SecretPrefixes, Field: "Config.SecretPrefixes"}
	for _, prefix := range prefixes {
		l.Entries = append(l.Entries, store.ListEntry{List: l.Name, Name: prefix})
	}
	return l
}

// prefixOf returns the prefix of a secret that has the form of a generated one.
func (s *Service) prefixOf(secret string) (string, bool) {
	for _, prefix := range s.cfg.SecretPrefixes {
		if strings.HasPrefix(secret, prefix) && checkSecret(prefix, secret) == nil {
			return prefix, true
		}
	}
	return "", false
}

// startLists fails if a list lacks what is in use.
func (s *Service) startLists() error {
	ctx, cancel := context.WithTimeout(context.Background(), listsTimeout)
	defer cancel()
	used, err := s.store.Lists.Entries(ctx)
	if err != nil {
		return fmt.Errorf("read what is in use of the host's lists: %w", err)
	}
	if err := s.checkLists(used); err != nil {
		return err
	}
	for _, u := range used {
		if e := (entry{u.List, u.Name}); s.inUse.older(e) {
			s.cfg.Logger.InfoContext(ctx, "secrets in the store still name this", "entry", e.String(), "withdrawn", slices.Contains(s.cfg.Withdrawn, e.String()))
		}
	}
	return nil
}

// checkLists takes over what the store recorded, and returns an error if a list
// lacks some of it.
func (s *Service) checkLists(used []store.ListEntry) error {
	recorded := map[entry]bool{}
	for _, u := range used {
		recorded[entry{u.List, u.Name}] = true
	}
	s.inUse.mu.Lock()
	s.inUse.recorded = recorded
	s.inUse.mu.Unlock()
	var problems []error
	for _, l := range s.inUse.lists {
		problems = append(problems, l.Check(used, s.now(), s.cfg.Withdrawn))
	}
	return errors.Join(problems...)
}

// record tells the store what secrets name that are about to be written, so that
// no process starts without it.
func (s *Service) record(ctx context.Context, secrets ...store.Secret) error {
	var names []entry
	for i := range secrets {
		names = append(names, entriesOf(&secrets[i])...)
	}
	return s.recordEntries(ctx, names...)
}

func (s *Service) recordEntries(ctx context.Context, names ...entry) error {
	var fresh []store.ListEntry
	s.inUse.mu.Lock()
	for _, e := range names {
		if listed, ok := s.inUse.find(e); ok && !s.inUse.recorded[e] {
			fresh = append(fresh, listed)
		}
	}
	s.inUse.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	err := s.store.Lists.Record(ctx, fresh...)
	switch {
	case errors.Is(err, store.ErrConflict): // not one that another attempt could mend
		return errors.New("apikey: Config.Peppers: a pepper in use is another key under the same version")
	case err != nil:
		return fmt.Errorf("apikey: record what is in use of the host's lists: %w", err)
	}
	s.inUse.mu.Lock()
	defer s.inUse.mu.Unlock()
	for _, e := range fresh {
		s.inUse.recorded[entry{e.List, e.Name}] = true
	}
	return nil
}

// list returns the list that the entry is of, or nil.
func (u *inUse) list(e entry) *hostlist.List {
	for i := range u.lists {
		if u.lists[i].Name == e.list {
			return &u.lists[i]
		}
	}
	return nil
}

// older reports whether e is of one of the lists, and not the first there.
func (u *inUse) older(e entry) bool {
	l := u.list(e)
	return l != nil && l.Entries[0].Name != e.name
}

func (u *inUse) find(e entry) (store.ListEntry, bool) { return u.list(e).Find(e.name) }
