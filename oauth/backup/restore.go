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
	// MaxLine is how many bytes a line may have.
	MaxLine = 1 << 20
	// MaxProblems is how many refused lines a Restored describes.
	MaxProblems = 1000
)

// Restored says what a restore did.
type Restored struct {
	// Keys is how many keys it added.
	Keys int
	// Refused is how many lines it did not add.
	Refused int
	// Problems are the first MaxProblems of those, in order.
	Problems []Problem
}

// Problem is a line that brought no key.
type Problem struct {
	// Line counts from 1, blank lines included.
	Line int
	// ID is the key's, empty where the line could not be read that far.
	ID string
	// Err says why: store.ErrExists for an id that a key holds, or held and
	// was deleted; store.ErrNotFound for a workspace that was deleted;
	// *apikey.ForbiddenError for permissions that the actor may not grant;
	// otherwise *apikey.InvalidError, the line is malformed. It repeats no digest.
	Err error
}

// Restore adds the keys that Export wrote, with their ids and secrets, to the
// store of another service, which may be of another kind and hold keys already.
// The keys log in with their old secrets if the service lists the same Peppers
// and SecretPrefixes and has the same Config.Imported, and a line whose digests or
// prefixes it does not know is refused. A key comes back as it was, disabled and expired ones too; no
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
// an outage does, and is the error, returned with what was done so far. Blank
// lines are skipped. Lines are read one by one, so that their number does not
// matter for memory.
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
			err = malformed(fmt.Sprintf("It has more than %d bytes.", MaxLine))
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

// refusesLine reports whether an error is about the line, and not an outage.
func refusesLine(err error) bool {
	_, invalid := errors.AsType[*apikey.InvalidError](err)
	_, forbidden := errors.AsType[*apikey.ForbiddenError](err)
	known := invalid || forbidden || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrNotFound)
	return known && !errors.Is(err, store.ErrUnavailable)
}

// nextLine reads up to the next line feed. Of a line that is too long it keeps
// nothing. io.EOF comes alone.
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

// restoreLine adds the key of one line. The id is returned for the report, if it
// is one that a key can have.
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
