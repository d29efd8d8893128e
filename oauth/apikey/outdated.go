package apikey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/store"
)

// Outdated lists the keys that prevent the removal of a pepper or prefix from
// Config.Peppers or Config.SecretPrefixes: those whose field Outdated is not empty.
// Each call reads the next limit keys by creation (1 to store.MaxPage; 0 means
// 100), so a page may be empty and not be the last. A digest is rewritten at the
// next login with its secret, if the first pepper has a higher version. A key that
// is not used has to be rotated or deleted, and so has a key whose secret has an
// older prefix. For an organization admin.
func (s *Service) Outdated(ctx context.Context, actor Actor, after *store.KeyCursor, limit int) (Page[Key], error) {
	if _, err := s.mayAdminister(ctx, actor, actOutdated); err != nil {
		return Page[Key]{}, err
	}
	page, err := s.List(ctx, actor, store.KeyQuery{After: after, Limit: limit})
	page.Keys = slices.DeleteFunc(page.Keys, func(k Key) bool { return len(k.Outdated) == 0 })
	return page, err
}

// outdated returns the titles of the entries that a key's secrets name and that are
// not the first of their list. An expired secret does not count.
func (s *Service) outdated(key *store.Key, now time.Time) []string {
	var names []string
	for _, e := range namedBy(key, now) {
		if title := hostlist.Title(e); s.inUse.outdated(e) && !slices.Contains(names, title) {
			names = append(names, title)
		}
	}
	return names
}

// namedBy returns the entries that a key's secrets name. An expired secret does not
// count.
func namedBy(key *store.Key, now time.Time) []store.ListEntry {
	return entriesOf(slices.DeleteFunc(slices.Clone(key.Credentials), func(s store.Credential) bool { return expired(s.NotAfter, now) })...)
}

// countLists counts the secrets that name each entry, if there are entries that are
// not the first of their list. For those it logs the counts, and removes the record if no
// secret names the entry. It records each entry that a secret names: another process
// that counted while the secret was written may have removed it. If ctx interrupts
// the count, the next call continues it.
func (s *Service) countLists(ctx context.Context, now time.Time) error {
	u := &s.inUse
	if !u.counting.TryLock() {
		return nil
	}
	defer u.counting.Unlock()
	used, missing, err := s.readLists(ctx)
	if used = append(used, u.listed...); err != nil || !slices.ContainsFunc(used, u.outdated) {
		return errors.Join(missing, err)
	}
	if u.after == nil {
		u.count = map[store.ListEntry]int{}
		u.mu.Lock()
		u.sinceCount = map[store.ListEntry]bool{}
		u.mu.Unlock()
	}
	for more := true; more; more = u.after != nil {
		page, err := s.store.Keys.List(ctx, store.KeyQuery{After: u.after, Limit: store.MaxPage})
		switch {
		case err != nil && ctx.Err() != nil && u.after != nil:
			return missing
		case err != nil:
			return errors.Join(missing, fmt.Errorf("apikey: count which peppers and prefixes are in use: %w", err))
		}
		for i := range page.Keys {
			for _, e := range namedBy(&page.Keys[i], now) {
				u.count[e]++
			}
		}
		u.after = page.Next
	}
	for _, e := range used {
		u.count[nameOnly(e)] += 0 // add the entries that no secret names
	}
	problems := []error{missing}
	for e, secrets := range u.count {
		problems = append(problems, s.recordOrForget(ctx, e, secrets))
	}
	return errors.Join(problems...)
}

// recordOrForget records an entry that secrets name. If the entry is not the first of its
// list, recordOrForget logs the number of secrets, and removes the record if there are
// none.
func (s *Service) recordOrForget(ctx context.Context, e store.ListEntry, secrets int) error {
	outdated := s.inUse.outdated(e)
	if secrets > 0 {
		if outdated {
			s.cfg.Logger.InfoContext(ctx, "secrets in the store still name this entry", "entry", hostlist.Title(e), "secrets", secrets)
		}
		return s.record(ctx, e)
	}
	if !outdated || s.inUse.forgetRecorded(e) {
		return nil
	}
	err := s.store.HostLists.Forget(ctx, e.List, e.Name)
	meanwhile := s.inUse.forgetRecorded(e)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("apikey: forget %s: %w", hostlist.Title(e), err)
	case meanwhile:
		return s.record(ctx, e)
	case err == nil:
		s.cfg.Logger.InfoContext(ctx, "no secret in the store names this entry any more: remove it from its list or from Withdrawn", "entry", hostlist.Title(e))
	}
	return nil
}

// forgetRecorded forgets that e is recorded, so that the next secret that names e
// records it again. It reports whether this process may have written such a secret
// since the count began.
func (u *inUse) forgetRecorded(e store.ListEntry) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.recorded, e)
	return u.sinceCount[e]
}
