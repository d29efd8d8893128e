package backup

import (
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// format is the version of the lines that Export writes. Restore refuses other
// versions.
const format = 1

type keyLine struct {
	Format       int          `json:"format"`
	ID           string       `json:"id"`
	Workspace    string       `json:"workspace"`
	Name         string       `json:"name"`
	Permissions  *scope.Set   `json:"permissions"`
	Requested    scope.Set    `json:"requested,omitzero"`
	Admin        scope.Set    `json:"admin,omitzero"`
	Secrets      []secretLine `json:"secrets"`
	NotAfter     time.Time    `json:"not_after,omitzero"`
	NotAfterText string       `json:"not_after_text,omitempty"`
	Resources    []string     `json:"resources,omitempty"`
	Disabled     bool         `json:"disabled,omitempty"`
	CreatedBy    actorLine    `json:"created_by,omitzero"`
	Depth        int          `json:"depth,omitempty"`
	Created      time.Time    `json:"created"`
	Updated      time.Time    `json:"updated,omitzero"`
	LastUsed     time.Time    `json:"last_used,omitzero"`
	Suspended    bool         `json:"suspended,omitempty"`
}

type secretLine struct {
	ID        string    `json:"id"`
	Hint      string    `json:"hint,omitempty"`
	Digest    string    `json:"digest"`
	Prefix    string    `json:"prefix,omitempty"`
	CreatedBy actorLine `json:"created_by,omitzero"`
	Generated bool      `json:"generated,omitempty"`
	Created   time.Time `json:"created"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

type actorLine struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// The kinds of lines that are no keys.
const (
	kindSettings = "settings"
	kindEvent    = "event"
)

// settingsLine is a workspace's or, without Workspace, the instance's.
type settingsLine struct {
	Format       int             `json:"format"`
	Kind         string          `json:"kind"`
	Workspace    string          `json:"workspace,omitempty"`
	Suspended    bool            `json:"suspended,omitempty"`
	Deleted      bool            `json:"deleted,omitempty"`
	KeysOff      bool            `json:"keys_off,omitempty"`
	Rules        rulesLine       `json:"rules,omitzero"`
	RemindersOff bool            `json:"reminders_off,omitempty"`
	RemindBefore []time.Duration `json:"remind_before,omitempty"`
}

type rulesLine struct {
	MaxKeys       int           `json:"max_keys,omitempty"`
	RequireExpiry bool          `json:"require_expiry,omitempty"`
	MaxLifetime   time.Duration `json:"max_lifetime,omitempty"`
	EnforcedFrom  time.Time     `json:"enforced_from,omitzero"`
}

type eventLine struct {
	Format    int          `json:"format"`
	Kind      string       `json:"kind"`
	ID        string       `json:"id"`
	Time      time.Time    `json:"time"`
	Actor     actorLine    `json:"actor,omitzero"`
	ActorName string       `json:"actor_name,omitempty"`
	Address   string       `json:"address,omitempty"`
	Action    string       `json:"action"`
	Workspace string       `json:"workspace,omitempty"`
	Key       string       `json:"key,omitempty"`
	KeyName   string       `json:"key_name,omitempty"`
	Changes   []changeLine `json:"changes,omitempty"`
	Note      string       `json:"note,omitempty"`
}

type changeLine struct {
	Field string `json:"field"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

func eventLineOf(e store.Event) eventLine {
	line := eventLine{
		Format: format, Kind: kindEvent, ID: e.ID, Time: e.Time, Actor: actorLine(e.Actor), ActorName: e.ActorName, Address: e.Address,
		Action: e.Action, Workspace: e.Workspace, Key: e.Key, KeyName: e.KeyName, Note: e.Note,
	}
	for _, c := range e.Changes {
		line.Changes = append(line.Changes, changeLine(c))
	}
	return line
}

// event is the inverse of eventLineOf.
func (line eventLine) event() store.Event {
	e := store.Event{
		ID: line.ID, Time: line.Time, Actor: store.ActorRef(line.Actor), ActorName: line.ActorName, Address: line.Address,
		Action: line.Action, Workspace: line.Workspace, Key: line.Key, KeyName: line.KeyName, Note: line.Note,
	}
	for _, c := range line.Changes {
		e.Changes = append(e.Changes, store.FieldChange(c))
	}
	return e
}

func lineOf(record store.Found) keyLine {
	k := record.Key
	line := keyLine{
		Format: format, ID: k.ID, Workspace: k.Workspace, Name: k.Name,
		Permissions: &k.Permissions, Requested: k.RequestedPermissions, Admin: k.AdminPermissions,
		Secrets:  make([]secretLine, len(k.Secrets)),
		NotAfter: k.NotAfter, NotAfterText: k.NotAfterText, Resources: k.Resources, Disabled: k.Disabled,
		CreatedBy: actorLine(k.CreatedBy), Depth: k.Depth, Created: k.Created, Updated: k.Updated, LastUsed: k.LastUsed,
		Suspended: record.Workspace.Suspended,
	}
	for n, secret := range k.Secrets {
		line.Secrets[n] = secretLine{
			ID: secret.ID, Hint: secret.Hint, Digest: secret.Digest, Prefix: secret.Prefix,
			CreatedBy: actorLine(secret.CreatedBy), Generated: secret.Generated,
			Created: secret.Created, NotAfter: secret.NotAfter, LastUsed: secret.LastUsed,
		}
	}
	return line
}

// record is the inverse of lineOf.
func (line keyLine) record() store.Found {
	key := store.Key{
		ID: line.ID, Workspace: line.Workspace, Name: line.Name,
		Permissions: *line.Permissions, RequestedPermissions: line.Requested, AdminPermissions: line.Admin,
		Secrets:  make([]store.Secret, len(line.Secrets)),
		NotAfter: line.NotAfter, NotAfterText: line.NotAfterText, Resources: line.Resources, Disabled: line.Disabled,
		CreatedBy: store.ActorRef(line.CreatedBy), Depth: line.Depth, Created: line.Created, Updated: line.Updated, LastUsed: line.LastUsed,
	}
	for n, secret := range line.Secrets {
		key.Secrets[n] = store.Secret{
			ID: secret.ID, Hint: secret.Hint, Digest: secret.Digest, Prefix: secret.Prefix,
			CreatedBy: store.ActorRef(secret.CreatedBy), Generated: secret.Generated,
			Created: secret.Created, NotAfter: secret.NotAfter, LastUsed: secret.LastUsed,
		}
	}
	return store.Found{Key: key, Workspace: store.Workspace{ID: line.Workspace, Suspended: line.Suspended}}
}

// kindOf returns the kind of a line; empty for a key, and if it cannot be read.
func kindOf(text []byte) (kind string) {
	if members, err := strictjson.Members(text, []string{"kind"}); err == nil {
		value, _ := members.Get("kind")
		kind, _ = strictjson.String(value) //nolint:errcheck // a key's line has no such member, and is refused
	}
	return kind
}

// decodeOther is decode for a line that is no key.
func decodeOther(text []byte, into any, version *int) error {
	if err := strictjson.UnmarshalOnly(text, into); err != nil {
		return malformed(err.Error())
	}
	if *version != format {
		return malformed(fmt.Sprintf("Its format is %d, but this version reads %d.", *version, format))
	}
	return nil
}

// decode reads the JSON of a key's line strictly. An error contains no part of the line
// except names of members. The part of the line that could be read is returned with
// the error.
func decode(text []byte) (keyLine, error) {
	var line keyLine
	err := strictjson.UnmarshalOnly(text, &line)
	switch {
	case err != nil:
		return line, err
	case line.Format != format:
		return keyLine{}, fmt.Errorf("its format is %d, but this version reads %d", line.Format, format)
	case line.Permissions == nil || line.Secrets == nil:
		return line, errors.New(`member "permissions" or "secrets" is missing`)
	}
	return line, nil
}
