package backup

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/store"
)

// format is the version of the lines that Export writes. Restore refuses other
// versions.
const format = 1

// line is one line. It holds one record: an instance, a workspace, a key or an event.
type line struct {
	Format    int              `json:"format"`
	Instance  *store.Instance  `json:"instance,omitempty"`
	Reminders *store.Reminders `json:"reminders,omitempty"` // of Instance
	Workspace *store.Workspace `json:"workspace,omitempty"`
	Key       *store.Key       `json:"key,omitempty"`
	Suspended bool             `json:"suspended,omitempty"` // whether the workspace of Key is suspended
	Event     *store.Event     `json:"event,omitempty"`
}

// decode reads the JSON of a line strictly. An error contains no part of the line
// except names of members. If there is an error, the result holds what could be read. It
// is empty if the format is another one.
func decode(text []byte) (line, error) {
	var l line
	if err := strictjson.UnmarshalOnly(text, &l); err != nil {
		return l, malformed(err.Error())
	}
	switch {
	case l.Format != format:
		return line{}, malformed(fmt.Sprintf("Its format is %d, but this version reads %d; restore it with the version that wrote it.", l.Format, format))
	case l.Key != nil && l.Key.Credentials == nil:
		return l, malformed(`Member "credentials" is null; without any it is [].`)
	}
	switch l {
	case line{Format: format, Instance: l.Instance, Reminders: l.Reminders},
		line{Format: format, Workspace: l.Workspace},
		line{Format: format, Key: l.Key, Suspended: l.Suspended},
		line{Format: format, Event: l.Event}:
		return l, nil
	}
	return l, malformed("It mixes records of different kinds; a line holds one record.")
}

func malformed(reason string) error {
	return &apikey.InvalidError{Problems: []apikey.FieldProblem{{Field: "line", Reason: reason}}}
}

// id returns the id of the record for a report, or "" if it has none that can be shown.
func (l *line) id() string {
	id := ""
	switch {
	case l.Key != nil:
		id = l.Key.ID
	case l.Workspace != nil:
		id = l.Workspace.ID
	case l.Event != nil:
		id = l.Event.ID
	}
	hidden := func(r rune) bool { return !unicode.IsPrint(r) }
	if len(id) > 255 || strings.ContainsFunc(id, hidden) {
		return ""
	}
	return id
}
