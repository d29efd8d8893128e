package apikey

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/latchkey-go/latchkey/store"
)

// Bounds of Restore.
const (
	// MaxExportLine is how many bytes a line may have.
	MaxExportLine = 1 << 20
	// MaxLineProblems is how many refused lines a Restored describes.
	MaxLineProblems = 1000
)

// Restored says what a restore did.
type Restored struct {
	// Keys is how many keys it added.
	Keys int
	// Refused is how many lines it did not add.
	Refused int
	// Problems are the first MaxLineProblems of those, in order.
	Problems []LineProblem
}

// LineProblem is a line that brought no key.
type LineProblem struct {
	// Line counts from 1, blank lines included.
	Line int
	// ID is the key's, empty where the line could not be read that far.
	ID string
	// Err says why: store.ErrExists for an id that a key holds, or held and
	// was deleted; store.ErrNotFound for a workspace that was deleted;
	// ErrForbidden for permissions that the actor may not grant; otherwise
	// the line is malformed. It repeats no digest.
	Err error
}

// Restore adds the keys that Export wrote, with their ids and secrets, to this service's store, which may be of another kind and hold keys already.
// The keys log in with their old secrets if the service has the same peppers
// and the same Config.Imported, and a line whose digests it could not verify
// is refused. A key comes back as it was, disabled and expired ones too; no
// policy is asked, no limit holds and no permission is looked up in the
// catalog, as all of that was done when the key was made, and logins look
// again. A workspace that was suspended is suspended before its first key
// comes in. Settings are for the host to save before.
//
// An id that is taken is reported and never overwritten, so that a restore
// that was cut off can be run again. Each key is one write with its event. No
// token from before is good for a restored key. What was ended after the export
// comes back, keys too.
//
// For an organization admin. A line that is refused does not stop the others;
// an outage does, and comes as the error, beside what was done so far. Blank
// lines are skipped.
func (s *Service) Restore(ctx context.Context, actor Actor, r io.Reader) (Restored, error) {
	var done Restored
	p, err := s.powersOf(ctx, actor)
	if err != nil {
		return done, err
	}
	if !p.admin {
		return done, &ForbiddenError{Action: ActionRestore, Reason: "Only an organization admin may do this."}
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
			return done, fmt.Errorf("apikey: restore: line %d: %w", number, err)
		}
		id := ""
		switch {
		case long:
			err = invalid("line", fmt.Sprintf("It has more than %d bytes.", MaxExportLine))
		case len(bytes.TrimSpace(text)) == 0:
			continue
		default:
			id, err = s.restoreLine(ctx, p, text)
		}
		switch {
		case err == nil:
			done.Keys++
		case refusesLine(err):
			done.Refused++
			if len(done.Problems) < MaxLineProblems {
				done.Problems = append(done.Problems, LineProblem{number, id, err})
			}
		default:
			return done, fmt.Errorf("apikey: restore: line %d: %w", number, err)
		}
	}
}

// refusesLine tells what is wrong with a line from an outage.
func refusesLine(err error) bool {
	for _, known := range []error{ErrInvalid, ErrForbidden, store.ErrExists, store.ErrNotFound} {
		if errors.Is(err, known) {
			return !errors.Is(err, store.ErrUnavailable)
		}
	}
	return false
}

// nextLine reads up to the next line feed. Of a line that is too long it keeps
// nothing. io.EOF comes alone.
func nextLine(in *bufio.Reader) (text []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(text)+len(part) > MaxExportLine+1; !long {
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

func (s *Service) restoreLine(ctx context.Context, p powers, text []byte) (id string, err error) {
	line, key, err := s.readLine(text)
	if validID(line.ID) {
		id = line.ID
	}
	if err != nil {
		if !errors.Is(err, ErrInvalid) {
			err = invalid("line", err.Error())
		}
		return id, err
	}
	if err := p.mayYield(ActionRestore, &key, true); err != nil {
		return id, err
	}
	return id, settledAlone(func() error { return s.restoreOnce(ctx, p, line, key) })
}

func (s *Service) restoreOnce(ctx context.Context, p powers, line exportedKey, key store.Key) error {
	workspace, instance, err := s.settingsOf(ctx, line.Workspace)
	if err != nil {
		return err
	}
	if workspace.Deleted {
		return fmt.Errorf("workspace: %w", store.ErrNotFound)
	}
	// Before the workspace is suspended: not for a key that is here already.
	if _, err := s.lookup(ctx, key.ID); err == nil {
		return store.ErrExists
	} else if !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("find key: %w", err)
	}
	if line.Suspended && !workspace.Suspended {
		if err := s.Suspend(ctx, p.actor, line.Workspace); err != nil {
			return err
		}
		if workspace, instance, err = s.settingsOf(ctx, line.Workspace); err != nil {
			return err
		}
	}
	change, err := s.change(s.now(), p.actor.ref, ActionRestore, key.Workspace, key.ID, nil)
	if err != nil {
		return err
	}
	change.If = p.basisIn(workspace, instance)
	return moved(s.store.Keys.Create(ctx, key, store.NoLimit, change))
}
