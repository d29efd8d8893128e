package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// Bounds of Restore.
const (
	// MaxLine is the maximum length of a line, in bytes.
	MaxLine = 1 << 20
	// MaxProblems is the maximum number of Restored.Problems.
	MaxProblems = 1000
)

// Restored is the result of a restore.
type Restored struct {
	// Keys is the number of keys that were added.
	Keys int
	// Settings is the number of records of settings that were added, of the instance
	// and of workspaces.
	Settings int
	// Events is the number of events that were added or were there already.
	Events int
	// Refused is the number of lines that were refused.
	Refused int
	// Problems describes the first MaxProblems refused lines, in order.
	Problems []Problem
}

// Problem is a line that was refused.
type Problem struct {
	// Line is the line's number. It counts from 1 and includes blank lines.
	Line int
	// ID is the id of the key, workspace or event. It is empty if it could not be read.
	ID string
	// Err says why the line was refused. It contains no digest. It is or wraps
	//
	//	store.ErrExists         a key, living or deleted, has the id; or another key has a credential with the id of one of its credentials;
	//	                        or settings were saved here before;
	//	                        or the workspace was deleted in the backup and has keys here
	//	store.ErrCredentialExists   another key has a credential with the id of one of the key's; it wraps store.ErrExists
	//	store.ErrNotFound       the workspace was deleted here
	//	*apikey.ForbiddenError  the actor may not grant the permissions
	//	*apikey.InvalidError    the line is malformed, or its digest or prefix is not known here
	Err error
}

// Restore adds what Export wrote, keys with their ids and digests, to the store of
// another service. The store may be of another kind and may already hold keys.
// The keys can log in with their old secrets if the service has the same Peppers,
// SecretPrefixes and Options.Imported. A line with a digest or prefix that the
// service does not know is refused. Trusts accept identities if Config.TrustedIssuers of the
// service has their entries, and nothing otherwise. Assertions and identities name the issuer
// URL of the service.
//
// A key is restored unchanged, also if it is disabled or expired. Policies, limits
// and the catalog are not applied, because they were when the key was created, and
// logins check again. A suspended workspace is suspended before its first key is
// added. Settings are restored where none were ever saved. A workspace that was
// deleted is deleted here, too, if it has no keys.
//
// A key whose id exists is reported and never overwritten, and an event that exists is
// left as it is, so that an interrupted restore can be run again. If it was interrupted
// within the settings of a suspended workspace, the next one refuses their line: the
// workspace is suspended, and its rules must be saved by hand. Each key is one write
// with its event. Tokens from before the restore are not valid for a restored key. What
// was retired, disabled or deleted after the export is restored, too.
//
// For an organization admin. A refused line does not stop the restore. An outage
// does: it is returned as the error, with the result so far. Blank lines are
// skipped. Lines are read one by one, so that memory does not grow with their
// number.
func Restore(ctx context.Context, keys *apikey.Service, actor apikey.Actor, in io.Reader) (Restored, error) {
	addKey, err := keys.Restorer(ctx, actor)
	if err != nil {
		return Restored{}, fmt.Errorf("backup: restore: %w", err)
	}
	r := restorer{ctx: ctx, keys: keys, actor: actor, addKey: addKey}
	lines := bufio.NewReaderSize(in, 64<<10)
	for number := 1; ; number++ {
		text, long, err := strictjson.ReadLine(lines, MaxLine)
		switch {
		case errors.Is(err, io.EOF):
			return r.done, nil
		case err == nil:
			err = ctx.Err()
		}
		if err != nil {
			return r.done, fmt.Errorf("backup: restore: line %d: %w", number, err)
		}
		id := ""
		switch {
		case long:
			err = malformed(fmt.Sprintf("It is longer than %d bytes.", MaxLine))
		case len(bytes.TrimSpace(text)) == 0:
		default:
			id, err = r.restore(text)
		}
		switch {
		case err == nil:
		case refusesLine(err):
			r.done.Refused++
			if len(r.done.Problems) < MaxProblems {
				r.done.Problems = append(r.done.Problems, Problem{number, id, err})
			}
		default:
			return r.done, fmt.Errorf("backup: restore: line %d: %w", number, err)
		}
	}
}

type restorer struct {
	ctx    context.Context //nolint:containedctx // of one call
	keys   *apikey.Service
	actor  apikey.Actor
	addKey func(store.Found) error
	done   Restored
}

// restore adds the record of one line. It returns the record's id for the report.
func (r *restorer) restore(text []byte) (id string, err error) {
	l, err := decode(text)
	if err != nil {
		return l.id(), err
	}
	counts := &r.done.Settings
	switch {
	case l.Instance != nil:
		err = r.instance(l)
	case l.Workspace != nil:
		err = r.workspace(*l.Workspace)
	case l.Key != nil:
		counts = &r.done.Keys
		err = r.addKey(store.Found{Key: *l.Key, Workspace: store.Workspace{Suspended: l.Suspended}})
	case l.Event != nil:
		counts = &r.done.Events
		err = r.keys.RestoreEvent(r.ctx, r.actor, *l.Event)
	default:
		err = malformed("It holds no record; it must have one of instance, workspace, key and event.")
	}
	if err == nil {
		*counts++
	}
	return l.id(), err
}

// instance saves the settings if none were ever saved: the version is 0.
func (r *restorer) instance(l line) error {
	settings := store.InstanceSettings{Instance: *l.Instance}
	if l.Reminders != nil {
		settings.Reminders = *l.Reminders
	}
	_, err := r.keys.SaveSettings(r.ctx, r.actor, settings)
	return conflictAsExists(err)
}

// workspace saves the settings if none were ever saved: the version is 0. It deletes or
// suspends the workspace first. If the restore is interrupted after that, the next one
// refuses the line because settings are saved, but no key is usable by mistake.
func (r *restorer) workspace(w store.Workspace) error {
	// This changes nothing, so it writes nothing. It fails if settings were saved, since
	// its version is 0.
	here, err := r.keys.SaveWorkspace(r.ctx, r.actor, store.Workspace{ID: w.ID})
	switch {
	case err != nil:
		return conflictAsExists(err)
	case w.Deleted && here.Keys > 0:
		return fmt.Errorf("backup: the workspace was deleted in the backup, but has keys here: %w", store.ErrExists)
	case w.Deleted:
		return r.keys.DeleteWorkspace(r.ctx, r.actor, w.ID)
	case w.Suspended:
		if err := r.keys.SetSuspended(r.ctx, r.actor, w.ID, true); err != nil {
			return err
		}
		here.Version = 1 // of the record that SetSuspended has saved
	}
	here.Rules = w.Rules
	_, err = r.keys.SaveWorkspace(r.ctx, r.actor, here)
	return conflictAsExists(err)
}

// conflictAsExists replaces store.ErrConflict, the error of a save if settings were
// saved before, by store.ErrExists.
func conflictAsExists(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("backup: settings were saved here before, and are kept: %w", store.ErrExists)
	}
	return err
}

// refusesLine reports whether an error is about the line and not an outage.
func refusesLine(err error) bool {
	_, invalid := errors.AsType[*apikey.InvalidError](err)
	_, forbidden := errors.AsType[*apikey.ForbiddenError](err)
	known := invalid || forbidden || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound)
	return known && !errors.Is(err, store.ErrUnavailable)
}
