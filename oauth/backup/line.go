package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// format is the version of the lines that Export writes. A reader of another
// version refuses them.
const format = 1

type keyLine struct {
	Format       int          `json:"format"`
	ID           string       `json:"id"`
	Workspace    string       `json:"workspace"`
	Name         string       `json:"name"`
	Permissions  []string     `json:"permissions"`
	Asked        []string     `json:"asked,omitempty"`
	Admin        []string     `json:"admin,omitempty"`
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

var (
	keyNames = []string{
		"format", "id", "workspace", "name", "permissions", "asked", "admin", "secrets", "not_after", "not_after_text", "resources", "disabled",
		"created_by", "depth", "created", "updated", "last_used", "suspended",
	}
	keyNeeds    = []string{"format", "id", "workspace", "name", "permissions", "secrets", "created"}
	secretNames = []string{"id", "hint", "digest", "prefix", "created_by", "generated", "created", "not_after", "last_used"}
	secretNeeds = []string{"id", "digest", "created"}
	actorNames  = []string{"kind", "id"}
)

func lineOf(record store.Found) keyLine {
	k := record.Key
	line := keyLine{
		Format: format, ID: k.ID, Workspace: k.Workspace, Name: k.Name,
		Permissions: append([]string{}, k.Permissions.Names()...), Asked: k.Asked.Names(), Admin: k.Admin.Names(),
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

// record makes of a line what lineOf was given.
func (line keyLine) record() (store.Found, error) {
	var problems []apikey.FieldProblem
	set := func(field string, names []string) scope.Set {
		set, err := scope.Of(names...)
		if err != nil {
			problems = append(problems, apikey.FieldProblem{Field: field, Reason: "A permission is malformed: " + err.Error() + "."})
		}
		return set
	}
	key := store.Key{
		ID: line.ID, Workspace: line.Workspace, Name: line.Name,
		Permissions: set("permissions", line.Permissions), Asked: set("asked", line.Asked), Admin: set("admin", line.Admin),
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
	if len(problems) > 0 {
		return store.Found{}, &apikey.InvalidError{Problems: problems}
	}
	return store.Found{Key: key, Workspace: store.Workspace{ID: line.Workspace, Suspended: line.Suspended}}, nil
}

// decode reads the JSON of a line, which may mean one thing only. An error
// repeats nothing of the line but names of members.
func decode(text []byte) (keyLine, error) {
	members, err := strictjson.Only(text, keyNames)
	if err != nil {
		return keyLine{}, err
	}
	if err := needs(members, keyNeeds); err != nil {
		return keyLine{}, err
	}
	secrets, _ := members.Get("secrets")
	elements, err := strictjson.Elements(secrets)
	if err != nil {
		return keyLine{}, fmt.Errorf("secrets: %w", err)
	}
	for _, element := range elements {
		secret, err := strictjson.Only(element, secretNames)
		if err == nil {
			err = needs(secret, secretNeeds)
		}
		if err == nil {
			err = onlyActor(secret)
		}
		if err != nil {
			return keyLine{}, fmt.Errorf("secrets: %w", err)
		}
	}
	if err := onlyActor(members); err != nil {
		return keyLine{}, err
	}
	var line keyLine
	if err := json.Unmarshal(text, &line); err != nil {
		// Its own text may repeat a value.
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return keyLine{}, fmt.Errorf("member %q has the wrong type", wrong.Field)
		}
		return keyLine{}, errors.New("a time is not written as RFC 3339 says")
	}
	if line.Format != format {
		return keyLine{}, fmt.Errorf("its format is %d, and this version reads %d", line.Format, format)
	}
	return line, nil
}

// onlyActor checks the member created_by, if it is there.
func onlyActor(members strictjson.Object) error {
	if actor, there := members.Get("created_by"); there {
		if _, err := strictjson.Only(actor, actorNames); err != nil {
			return fmt.Errorf("created_by: %w", err)
		}
	}
	return nil
}

func needs(members strictjson.Object, names []string) error {
	for _, name := range names {
		if value, there := members.Get(name); !there || string(value) == "null" {
			return fmt.Errorf("member %q is missing", name)
		}
	}
	return nil
}
