package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/scope"
	"github.com/latchkey-go/latchkey/store"
)

// exportFormat is the version of the lines that Export writes. A reader of
// another version refuses them.
const exportFormat = 1

const maxHint = 32

// exportedKey is one line.
type exportedKey struct {
	Format       int              `json:"format"`
	ID           string           `json:"id"`
	Workspace    string           `json:"workspace"`
	Name         string           `json:"name"`
	Permissions  []string         `json:"permissions"`
	Asked        []string         `json:"asked,omitempty"`
	Secrets      []exportedSecret `json:"secrets"`
	NotAfter     time.Time        `json:"not_after,omitzero"`
	NotAfterText string           `json:"not_after_text,omitempty"`
	Resources    []string         `json:"resources,omitempty"`
	Disabled     bool             `json:"disabled,omitempty"`
	CreatedBy    exportedActor    `json:"created_by,omitzero"`
	Depth        int              `json:"depth,omitempty"`
	Created      time.Time        `json:"created"`
	Updated      time.Time        `json:"updated,omitzero"`
	LastUsed     time.Time        `json:"last_used,omitzero"`
	Suspended    bool             `json:"suspended,omitempty"`
}

type exportedSecret struct {
	ID        string        `json:"id"`
	Hint      string        `json:"hint,omitempty"`
	Digest    string        `json:"digest"`
	Prefix    string        `json:"prefix,omitempty"`
	CreatedBy exportedActor `json:"created_by,omitzero"`
	Generated bool          `json:"generated,omitempty"`
	Created   time.Time     `json:"created"`
	NotAfter  time.Time     `json:"not_after,omitzero"`
	LastUsed  time.Time     `json:"last_used,omitzero"`
}

type exportedActor struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

var (
	lineNames = []string{
		"format", "id", "workspace", "name", "permissions", "asked", "secrets", "not_after", "not_after_text", "resources", "disabled",
		"created_by", "depth", "created", "updated", "last_used", "suspended",
	}
	lineNeeds   = []string{"format", "id", "workspace", "name", "permissions", "secrets", "created"}
	secretNames = []string{"id", "hint", "digest", "prefix", "created_by", "generated", "created", "not_after", "last_used"}
	secretNeeds = []string{"id", "digest", "created"}
	actorNames  = []string{"kind", "id"}
)

func exported(k store.Key, w store.Workspace) exportedKey {
	line := exportedKey{
		Format: exportFormat, ID: k.ID, Workspace: k.Workspace, Name: k.Name,
		Permissions: append([]string{}, k.Permissions.Names()...), Asked: k.Asked.Names(),
		Secrets:  make([]exportedSecret, len(k.Secrets)),
		NotAfter: k.NotAfter, NotAfterText: k.NotAfterText, Resources: k.Resources, Disabled: k.Disabled,
		CreatedBy: exportedActor(k.CreatedBy), Depth: k.Depth, Created: k.Created, Updated: k.Updated, LastUsed: k.LastUsed,
		Suspended: w.Suspended,
	}
	for n, secret := range k.Secrets {
		line.Secrets[n] = exportedSecret{
			ID: secret.ID, Hint: secret.Hint, Digest: secret.Digest, Prefix: secret.Prefix,
			CreatedBy: exportedActor(secret.CreatedBy), Generated: secret.Generated,
			Created: secret.Created, NotAfter: secret.NotAfter, LastUsed: secret.LastUsed,
		}
	}
	return line
}

// readLine reads one line and checks all of it. An error repeats nothing of
// the line but names of members.
func (s *Service) readLine(text []byte) (exportedKey, store.Key, error) {
	line, err := decodeLine(text)
	if err != nil {
		return line, store.Key{}, err
	}
	var bad InvalidError
	key := store.Key{
		ID: line.ID, Workspace: line.Workspace, Name: line.Name,
		Permissions: setOf(&bad, "permissions", line.Permissions), Asked: setOf(&bad, "asked", line.Asked),
		NotAfterText: line.NotAfterText, Resources: line.Resources, Disabled: line.Disabled,
		CreatedBy: store.ActorRef(line.CreatedBy), Depth: line.Depth, Version: 1,
		Created: instant(&bad, "created", line.Created), Updated: instant(&bad, "updated", line.Updated),
		LastUsed: instant(&bad, "last_used", line.LastUsed), NotAfter: instant(&bad, "not_after", line.NotAfter),
	}
	if !validID(key.ID) {
		bad.add("id", "An id has 1 to 255 printable ASCII characters without spaces.")
	}
	checkText(&bad, "workspace", key.Workspace)
	checkText(&bad, "name", key.Name)
	checkMaker(&bad, key.CreatedBy)
	if key.Depth < 0 || key.Depth > maxDepth {
		bad.add("depth", fmt.Sprintf("It must be from 0 to %d.", maxDepth))
	}
	if key.Created.IsZero() {
		bad.add("created", "It may not be empty.")
	}
	if expiry, err := ParseExpiry(key.NotAfterText); key.NotAfterText != "" && (err != nil || expiry.text == "" || !expiry.at.Equal(key.NotAfter)) {
		bad.add("not_after_text", "It must be the date that not_after is the end of.")
	}
	for _, uri := range key.Resources {
		if err := CheckResource(uri); err != nil {
			bad.add("resources", "A resource is an absolute URI: "+err.Error()+".")
		}
	}
	key.Secrets = s.readSecrets(&bad, line.Secrets)
	return line, key, bad.orNil()
}

// decodeLine reads the JSON, which may mean one thing only.
func decodeLine(text []byte) (exportedKey, error) {
	members, err := strictjson.Only(text, lineNames)
	if err != nil {
		return exportedKey{}, err
	}
	if err := needs(members, lineNeeds); err != nil {
		return exportedKey{}, err
	}
	secrets, _ := members.Get("secrets")
	elements, err := strictjson.Elements(secrets)
	if err != nil {
		return exportedKey{}, fmt.Errorf("secrets: %w", err)
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
			return exportedKey{}, fmt.Errorf("secrets: %w", err)
		}
	}
	if err := onlyActor(members); err != nil {
		return exportedKey{}, err
	}
	var line exportedKey
	if err := json.Unmarshal(text, &line); err != nil {
		// Its own text may repeat a value.
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return exportedKey{}, fmt.Errorf("member %q has the wrong type", wrong.Field)
		}
		return exportedKey{}, errors.New("a time is not written as RFC 3339 says")
	}
	if line.Format != exportFormat {
		return exportedKey{}, fmt.Errorf("its format is %d, and this version reads %d", line.Format, exportFormat)
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

func checkMaker(bad *InvalidError, maker store.ActorRef) {
	if maker.Kind != "" {
		checkText(bad, "created_by", maker.Kind)
	}
	if maker.ID != "" {
		checkText(bad, "created_by", maker.ID)
	}
}

func needs(members strictjson.Object, names []string) error {
	for _, name := range names {
		if value, there := members.Get(name); !there || string(value) == "null" {
			return fmt.Errorf("member %q is missing", name)
		}
	}
	return nil
}

func (s *Service) readSecrets(bad *InvalidError, lines []exportedSecret) []store.Secret {
	if len(lines) > MaxSecrets {
		bad.add("secrets", fmt.Sprintf("A key holds at most %d secrets.", MaxSecrets))
		return nil
	}
	secrets := make([]store.Secret, len(lines))
	for i, line := range lines {
		secret := store.Secret{
			ID: line.ID, Hint: line.Hint, Digest: line.Digest, Prefix: line.Prefix,
			CreatedBy: store.ActorRef(line.CreatedBy), Generated: line.Generated,
			Created: instant(bad, "secrets", line.Created), NotAfter: instant(bad, "secrets", line.NotAfter),
			LastUsed: instant(bad, "secrets", line.LastUsed),
		}
		checkMaker(bad, secret.CreatedBy)
		if secret.Prefix != "" && CheckPrefix(secret.Prefix) != nil {
			bad.add("secrets", "A prefix is none that secrets can have.")
		}
		switch {
		case !validID(secret.ID):
			bad.add("secrets", "An id has 1 to 255 printable ASCII characters without spaces.")
		case slices.ContainsFunc(secrets[:i], func(other store.Secret) bool { return other.ID == secret.ID }):
			bad.add("secrets", "Two secrets have one id.")
		case secret.Created.IsZero():
			bad.add("secrets", "A secret says when it was created.")
		}
		if len(secret.Hint) > maxHint {
			bad.add("secrets", fmt.Sprintf("A hint has at most %d bytes.", maxHint))
		} else if secret.Hint != "" {
			checkText(bad, "secrets", secret.Hint)
		}
		if err := s.checkDigest(secret); err != nil {
			bad.add("secrets", "A digest is of no use here: "+err.Error()+".")
		}
		secrets[i] = secret
	}
	return secrets
}

// checkDigest refuses a digest that could never let anybody in here.
func (s *Service) checkDigest(secret store.Secret) error {
	if !s.cfg.Imported && (!secret.Generated || isSlow(secret.Digest)) {
		return errors.New("it is of an imported secret, and Config.Imported is false")
	}
	if isSlow(secret.Digest) {
		return checkImported(secret.Digest)
	}
	return s.hasher.check(secret.Digest)
}

func setOf(bad *InvalidError, field string, names []string) scope.Set {
	set, err := scope.Of(names...)
	if err != nil {
		bad.add(field, "A permission is malformed: "+err.Error()+".")
	}
	return set
}

// instant takes a time over as stores keep it.
func instant(bad *InvalidError, field string, t time.Time) time.Time {
	t = t.UTC().Truncate(time.Microsecond)
	if !t.IsZero() && (t.Year() < 1 || t.Year() > maxYear) {
		bad.add(field, "A time lies outside of the years 1 to 9999.")
	}
	return t
}
