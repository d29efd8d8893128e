package backup

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
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
	// Err says why: store.ErrExists for an id that a key has, or a deleted key
	// had, and for settings where some were saved before; store.ErrNotFound for a workspace that was deleted;
	// *apikey.ForbiddenError for permissions that the actor may not grant;
	// *apikey.InvalidError for a malformed line. It contains no digest.
	Err error
}

// Restore adds what Export wrote, keys with their ids and digests, to the store of
// another service. The store may be of another kind and may already hold keys.
// The keys can log in with their old secrets if the service has the same Peppers,
// SecretPrefixes and Config.Imported. A line with a digest or prefix that the
// service does not know is refused.
//
// A key is restored unchanged, also if it is disabled or expired. Policies, limits
// and the catalog are not applied, because they were when the key was created, and
// logins check again. A suspended workspace is suspended before its first key is
// added. Settings are restored where none were ever saved. A workspace that was
// deleted is deleted here, too, if it has no keys.
//
// An existing id is reported and never overwritten, and an event that is there is
// left as it is, so that an interrupted restore
// can be run again. Each key is one write with its event. Tokens from before the
// restore are not valid for a restored key. What was retired, disabled or deleted
// after the export is restored, too.
//
// For an organization admin. A refused line does not stop the restore. An outage
// does: it is returned as the error, with the result so far. Blank lines are
// skipped. Lines are read one by one, so that memory does not grow with their
// number.
func Restore(ctx context.Context, keys *apikey.Service, actor apikey.Actor, r io.Reader) (Restored, error) {
	var done Restored
	add, err := keys.Restorer(ctx, actor)
	if err != nil {
		return done, fmt.Errorf("backup: restore: %w", err)
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		text, long, err := nextLine(in)
		switch {
		case errors.Is(err, io.EOF):
			return done, nil
		case err == nil:
			err = ctx.Err()
		}
		if err != nil {
			return done, fmt.Errorf("backup: restore: line %d: %w", number, err)
		}
		id, counts := "", &done.Keys
		switch kind := kindOf(text); {
		case long:
			err = malformed(fmt.Sprintf("It is longer than %d bytes.", MaxLine))
		case len(bytes.TrimSpace(text)) == 0:
			continue
		case kind == "":
			id, err = restoreLine(add, text)
		case kind == kindEvent:
			counts = &done.Events
			id, err = restoreEvent(ctx, keys, actor, text)
		case kind == kindSettings:
			counts = &done.Settings
			id, err = restoreSettings(ctx, keys, actor, text)
		default:
			err = malformed("Its kind is unknown.")
		}
		switch {
		case err == nil:
			*counts++
		case refusesLine(err):
			done.Refused++
			if len(done.Problems) < MaxProblems {
				done.Problems = append(done.Problems, Problem{number, id, err})
			}
		default:
			return done, fmt.Errorf("backup: restore: line %d: %w", number, err)
		}
	}
}

func malformed(reason string) error {
	return &apikey.InvalidError{Problems: []apikey.FieldProblem{{Field: "line", Reason: reason}}}
}

// refusesLine reports whether an error is about the line and not an outage.
func refusesLine(err error) bool {
	_, invalid := errors.AsType[*apikey.InvalidError](err)
	_, forbidden := errors.AsType[*apikey.ForbiddenError](err)
	known := invalid || forbidden || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound)
	return known && !errors.Is(err, store.ErrUnavailable)
}

// nextLine reads up to the next line feed. It drops the text of a line that is too
// long. It returns io.EOF only without a line.
func nextLine(in *bufio.Reader) (text []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(text)+len(part) > MaxLine+1; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			return text, long, nil
		case errors.Is(err, io.EOF) && (long || len(text) > 0):
			return text, long, nil
		default:
			return nil, false, err
		}
	}
}

// restoreLine adds the key of one line. It returns the id for the report, if a key
// can have such an id.
func restoreLine(add func(store.Found) error, text []byte) (id string, err error) {
	line, err := decode(text)
	if len(line.ID) <= 255 && !strings.ContainsFunc(line.ID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		id = line.ID
	}
	if err != nil {
		return id, malformed(err.Error())
	}
	return id, add(line.record())
}

func restoreEvent(ctx context.Context, keys *apikey.Service, actor apikey.Actor, text []byte) (id string, err error) {
	var line eventLine
	if err := decodeOther(text, &line, &line.Format); err != nil {
		return "", err
	}
	err = keys.RestoreEvent(ctx, actor, line.event())
	return known(line.ID, err), err
}

// restoreSettings saves settings if none were ever saved: the version is 0.
func restoreSettings(ctx context.Context, keys *apikey.Service, actor apikey.Actor, text []byte) (id string, err error) {
	var line settingsLine
	if err := decodeOther(text, &line, &line.Format); err != nil {
		return "", err
	}
	ofWorkspace, ofInstance := line.Suspended || line.Deleted, line.KeysOff || line.RemindersOff || line.RemindBefore != nil
	if line.Workspace == "" && ofWorkspace || line.Workspace != "" && ofInstance {
		return "", malformed("It mixes settings of the instance with those of a workspace.")
	}
	if line.Workspace != "" {
		err = restoreWorkspace(ctx, keys, actor, line)
	} else {
		_, err = keys.SaveSettings(ctx, actor, store.InstanceSettings{
			Instance:  store.Instance{KeysOff: line.KeysOff, Rules: store.Rules(line.Rules)},
			Reminders: store.Reminders{Off: line.RemindersOff, Before: line.RemindBefore},
		})
	}
	if errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("settings or keys: %w", store.ErrExists)
	}
	return known(line.Workspace, err), err
}

// restoreWorkspace deletes or suspends the workspace in its first write, so that an
// interrupted restore, which cannot be completed later, leaves no key usable.
func restoreWorkspace(ctx context.Context, keys *apikey.Service, actor apikey.Actor, line settingsLine) error {
	// This writes nothing. It fails if settings were saved.
	w, err := keys.SaveWorkspace(ctx, actor, store.Workspace{ID: line.Workspace})
	switch {
	case err != nil:
		return err
	case line.Deleted && w.Keys > 0:
		return store.ErrConflict
	case line.Deleted:
		return keys.DeleteWorkspace(ctx, actor, line.Workspace)
	case line.Suspended:
		err, w.Version = keys.SetSuspended(ctx, actor, line.Workspace, true), 1
	}
	if w.Rules = store.Rules(line.Rules); err == nil {
		_, err = keys.SaveWorkspace(ctx, actor, w)
	}
	return err
}

// known returns an id for the report, unless it is the id that was refused.
func known(id string, err error) string {
	if _, invalid := errors.AsType[*apikey.InvalidError](err); invalid {
		return ""
	}
	return id
}
