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

// Restore adds the keys that Export wrote, with their ids, secrets and epochs,
// to this service's store, which may be of another kind and hold keys already.
// The keys log in with their old secrets if the service has the same peppers
// and the same Config.Imported, and a line whose digests it could not verify
// is refused. A key comes back as it was, disabled and expired ones too; no
// policy is asked, no limit holds and no permission is looked up in the
// catalog, as all of that was done when the key was made, and logins look
// again. A workspace that was suspended is suspended before its first key
// comes in. Settings are for the host to save before.
//
// An id that is taken is reported and never overwritten, so that a restore
// that was cut off can be run again. Each key is one write with its event. A
// token that had ended when the export was made stays ended: a restored key's
// epoch is not lower than before, and higher where its workspace's or the
// instance's is lower here. What was ended later comes back, keys too.
//
// For an organization admin. A line that is refused does not stop the others;
// an outage does, and comes as the error, beside what was done so far. Blank
// lines are skipped.
func (s *Service) Restore(ctx context.Context, actor Actor, r io.Reader) (Restored, error) {
	ctx = store.Fresh(ctx)
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
	// Before anything is raised: epochs that live apart are those of the key
	// that has the id now.
	if _, err := s.lookup(ctx, key.ID); err == nil {
		return id, store.ErrExists
	} else if !errors.Is(err, store.ErrNotFound) {
		return id, fmt.Errorf("find key: %w", err)
	}
	if err := s.restoreAround(ctx, p.actor, line, &key); err != nil {
		return id, err
	}
	change, err := s.change(s.now(), p.actor.ref, ActionRestore, key.Workspace, key.ID, nil)
	if err != nil {
		return id, err
	}
	if err := s.announce(ctx, nil, &key); err != nil {
		return id, err
	}
	return id, s.store.Keys.Create(ctx, key, store.NoLimit, change)
}

// restoreAround sees to what tokens of the key were measured against besides
// the key.
func (s *Service) restoreAround(ctx context.Context, actor Actor, line exportedKey, key *store.Key) error {
	workspace, instance, err := s.settingsOf(ctx, line.Workspace)
	if err != nil {
		return err
	}
	if workspace.Deleted {
		return fmt.Errorf("workspace: %w", store.ErrNotFound)
	}
	if line.Suspended && !workspace.Suspended {
		if err := s.Suspend(ctx, actor, line.Workspace); err != nil {
			return err
		}
	}
	if line.WorkspaceEpoch > workspace.Epoch || line.InstanceEpoch > instance.Epoch {
		// A token that one of those ended would pass here. The key's own epoch
		// ends it, and leaves the tokens of other keys alone.
		key.Epoch++
	}
	return nil
}
