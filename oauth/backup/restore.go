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
	// Refused is the number of lines that were refused.
	Refused int
	// Problems describes the first MaxProblems refused lines, in order.
	Problems []Problem
}

// Problem is a line that was refused.
type Problem struct {
	// Line is the line's number. It counts from 1 and includes blank lines.
	Line int
	// ID is the key's id. It is empty if it could not be read.
	ID string
	// Err says why: store.ErrExists for an id that a key has, or a deleted key
	// had; store.ErrNotFound for a workspace that was deleted;
	// *apikey.ForbiddenError for permissions that the actor may not grant;
	// *apikey.InvalidError for a malformed line. It contains no digest.
	Err error
}

// Restore adds the keys that Export wrote, with their ids and digests, to the store
// of another service. The store may be of another kind and may already hold keys.
// The keys can log in with their old secrets if the service has the same Peppers,
// SecretPrefixes and Config.Imported. A line with a digest or prefix that the
// service does not know is refused.
//
// A key is restored unchanged, also if it is disabled or expired. Policies, limits
// and the catalog are not applied, because they were when the key was created, and
// logins check again. A suspended workspace is suspended before its first key is
// added. The host restores the settings itself, before the keys.
//
// An existing id is reported and never overwritten, so that an interrupted restore
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
		id := ""
		switch {
		case long:
			err = malformed(fmt.Sprintf("It is longer than %d bytes.", MaxLine))
		case len(bytes.TrimSpace(text)) == 0:
			continue
		default:
			id, err = restoreLine(add, text)
		}
		switch {
		case err == nil:
			done.Keys++
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
