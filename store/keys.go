package store

import (
	"context"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/scope"
)

// Key is an API key's record.
type Key struct {
	// ID is the OAuth client_id: unique in the store, at most 255 bytes. The id of a
	// deleted key stays taken until Upkeep.Purge.
	ID string `json:"id"`
	// Workspace owns the key and never changes.
	Workspace string `json:"workspace"`
	// Name is what people call the key. Names need not be unique.
	Name string `json:"name"`
	// Permissions is the concrete set that the key holds.
	Permissions scope.Set `json:"permissions"`
	// RequestedPermissions is the set as the caller gave it, wildcards included.
	RequestedPermissions scope.Set `json:"requested,omitzero"`
	// AdminPermissions is the part of Permissions that an organization admin granted as
	// admin permissions. A permission that became an admin permission later is not in
	// it.
	AdminPermissions scope.Set `json:"admin,omitzero"`
	// Credentials are what programs log in with, newest last. A key without any cannot
	// log in.
	Credentials []Credential `json:"credentials"`
	// NotAfter is the instant from which the key is expired. Zero means never.
	NotAfter time.Time `json:"not_after,omitzero"`
	// NotAfterText is the date ("2027-01-31") if the expiry was given as a date. It is
	// empty if it was given as an instant.
	NotAfterText string `json:"not_after_text,omitempty"`
	// Resources are the resource indicators (RFC 8707) that the key may ask
	// tokens for, besides the server's own audience.
	Resources []string `json:"resources,omitempty"`
	// Disabled keys cannot log in until they are enabled.
	Disabled bool `json:"disabled,omitempty"`
	// Direct allows the key's secrets in requests in place of a token.
	Direct bool `json:"direct,omitempty"`
	// CreatedBy is the actor that created the key.
	CreatedBy ActorRef `json:"created_by,omitzero"`
	// Depth is the number of keys between this key and a person: 0 if a person
	// created it, 1 if a key of depth 0 did. It never changes.
	Depth   int       `json:"depth,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated,omitzero"`
	// LastUsed is the time of the last login, or of the last request with a secret in
	// place of a token, written with a delay. Zero means never.
	LastUsed time.Time `json:"last_used,omitzero"`
	// Version is 1 at creation and rises by one with each change. Upkeep does not
	// change it.
	Version int64 `json:"-"`
	// Epoch revokes tokens: a token that was issued under another epoch is refused.
	// Drivers set it (see Epochs) and ignore the caller's value.
	Epoch int64 `json:"-"`
}

// Clone returns a copy of k. Changing the copy does not change k.
func (k Key) Clone() Key {
	k.Credentials = slices.Clone(k.Credentials)
	for i := range k.Credentials {
		c := &k.Credentials[i]
		if c.PublicKey != nil {
			c.PublicKey = new(*c.PublicKey)
		}
		if c.Trust != nil {
			c.Trust = &Trust{c.Trust.Issuer, slices.Clone(c.Trust.Claims)}
		}
	}
	k.Resources = slices.Clone(k.Resources)
	return k
}

// Credential returns the key's credential with the given id, or nil.
func (k *Key) Credential(id string) *Credential {
	for i := range k.Credentials {
		if k.Credentials[i].ID == id {
			return &k.Credentials[i]
		}
	}
	return nil
}

// RecordUse sets the LastUsed of k and of the credential that was used, unless they are
// later. If k does not have the credential, it changes nothing. It is for drivers, as is
// KeepCredentials.
func (k *Key) RecordUse(u Use) {
	c := k.Credential(u.Credential)
	if c == nil {
		return
	}
	for _, last := range []*time.Time{&k.LastUsed, &c.LastUsed} {
		if u.At.After(*last) {
			*last = u.At
		}
	}
}

// KeepCredentials sets the credentials that k and old have both to those of old, but for
// NotAfter; see Keys.Update.
func (k *Key) KeepCredentials(old *Key) {
	for i := range k.Credentials {
		c := &k.Credentials[i]
		if was := old.Credential(c.ID); was != nil {
			notAfter := c.NotAfter
			*c = *was
			c.NotAfter = notAfter
		}
	}
}

// Credential is one thing that a program can log in with as a key: a secret, of which
// the record has the digest; a private key, of which it has the public half; or the
// identity that another issuer gave the program, which the key trusts. It is a secret
// unless PublicKey or Trust is set, of which at most one is.
type Credential struct {
	// ID is unique in the store, at most 255 bytes: no two keys have a credential with
	// one id, and no key has two. A token names the credential that it was issued for. The
	// id of a trust is the name of its entry, a dot and random text.
	ID string `json:"id"`
	// Name is what people call a public key or a trust, at most 1024 bytes. A secret has
	// none.
	Name string `json:"name,omitempty"`
	// Hint is the end of the plaintext of a secret, by which people recognise it.
	Hint string `json:"hint,omitempty"`
	// Digest of a secret is algorithm$pepper version$digest, or sha256-import$digest or
	// a bcrypt, argon2id or PBKDF2 string of an imported secret. Outside the store only a
	// backup holds it.
	Digest string `json:"digest,omitempty"`
	// Prefix is what the secret begins with, if it has the form of a generated one:
	// Latchkey generated it, or it was imported with a prefix of the host's list. It is
	// empty for any other imported secret.
	Prefix    string     `json:"prefix,omitempty"`
	PublicKey *PublicKey `json:"public_key,omitempty"`
	Trust     *Trust     `json:"trust,omitempty"`
	// CreatedBy is the actor that gave the key this credential.
	CreatedBy ActorRef `json:"created_by,omitzero"`
	// Generated reports whether a secret is random, with at least 128 bits: Latchkey
	// generated it, or its importer declared it so.
	Generated bool      `json:"generated,omitempty"`
	Created   time.Time `json:"created"`
	// NotAfter is the instant from which the credential is refused. Zero means that it
	// is valid as long as the key. A rotation sets it to the end of the grace
	// period.
	NotAfter time.Time `json:"not_after,omitzero"`
	LastUsed time.Time `json:"last_used,omitzero"`
}

// IsSecret reports whether the credential is a secret.
func (c *Credential) IsSecret() bool { return c.PublicKey == nil && c.Trust == nil }

// PublicKey verifies the assertions that a program signs with its private key.
type PublicKey struct {
	// JWK is the public key as a JSON Web Key (RFC 7517) with the members kid, alg and use,
	// at most 4096 bytes.
	JWK string `json:"jwk"`
	// EndpointAudience also accepts the URL of the token endpoint as the audience of an
	// assertion, which older clients send.
	EndpointAudience bool `json:"endpoint_audience,omitempty"`
	// LongAssertions accepts assertions that are valid for up to an hour, if
	// apikey.Options.LongAssertions is set. Otherwise the longest is 5 minutes.
	LongAssertions bool `json:"long_assertions,omitempty"`
}

// Trust accepts the identities of another issuer that have certain claims. The bounds here
// are what a driver must hold; package trust accepts less (trust.Malformed).
type Trust struct {
	// Issuer is the name of an entry of the host's list of issuers, at most 255 bytes.
	Issuer string `json:"issuer"`
	// Claims are what an identity must have, all of them, by name.
	Claims []Claim `json:"claims"`
}

// Claim is a claim of an identity by the name that the entry of the host's list gives it, at
// most 255 bytes. The value has at most 1024 bytes.
type Claim struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ActorRef identifies an actor in records and events.
type ActorRef struct {
	Kind string `json:"kind"` // "admin", "owner", "key", "holder" (anyone who sent a secret to revoke it), or "scanner" (a service that found a secret)
	ID   string `json:"id"`   // the host's id of the person, or the id of the key; for a holder, of the key that had the secret; for a scanner, its host name
}

// Change is what is written together with a record, in the same atomic step.
type Change struct {
	// Events go into the audit log.
	Events []Event
	// Once, unless nil, is a one-time id that the change spends. If it was
	// spent before, the call fails with ErrExists and nothing is written.
	Once *OnceID
	// Now is the caller's time, which the expiry of Once is compared with.
	Now time.Time
	// RevokeTokens raises the epoch of the record that is written, which revokes every
	// token issued under the old one. See Epochs. Create, Delete and
	// DeleteWorkspace ignore it: a new key has no tokens, and a deletion revokes
	// all of them.
	RevokeTokens bool
	// Preconditions lists the records that the decision to write was based on. If one
	// of them has changed since it was read, the call fails with ErrConflict and
	// nothing is written. The caller then reads again and decides again.
	Preconditions []Precondition
}

// Precondition names a record and the version at which it was read. It holds as
// long as the record has that version. The record is the key with the id Key; if
// Key is empty, the settings of Workspace; if both are empty, the settings of the
// instance. If Key is set, Workspace is ignored. Settings that were never saved
// have version 0. For a key that does not exist or was deleted, no version holds.
type Precondition struct {
	Key       string
	Workspace string
	Version   int64
}

// NoLimit means that there is no limit, as the limit of Keys.Create.
const NoLimit = -1

// Found is the result of Keys.Lookup, the one read of a login: a key, the settings
// of its workspace and the settings of the instance, all as of one moment.
type Found struct {
	Key       Key
	Workspace Workspace
	Instance  Instance
}

// Keys stores key records. For Update and Delete, a key of another workspace is
// ErrNotFound.
type Keys interface {
	// Create adds a key with Version 1, whatever k.Version says.
	//
	// Atomic, checked in this order: c.Once already spent is ErrExists; a
	// precondition of c.Preconditions that does not hold is ErrConflict; a workspace that
	// was deleted is ErrNotFound; an id that a key or a tombstone has is
	// ErrExists; a workspace that holds limit keys or more is ErrLimit, unless
	// limit is NoLimit; a credential id that a credential of another key has is
	// ErrCredentialExists. Disabled and expired keys count, deleted ones do not. Of N
	// concurrent calls with limit L for an empty workspace exactly min(N, L)
	// succeed. A failed call writes nothing.
	Create(ctx context.Context, k Key, limit int, c Change) error

	// Lookup returns the key with the given id, of any workspace, and its settings.
	// A key that is missing or deleted is ErrNotFound. Settings that were never
	// saved are zero records with Version 0; the workspace's has its ID and number
	// of keys. An expired or disabled key is returned like any other.
	Lookup(ctx context.Context, id string) (Found, error)

	// Update replaces the key and raises its version by one, if the stored
	// version is still k.Version. The stored record keeps Created, CreatedBy,
	// Depth and LastUsed of the key, and everything but NotAfter of each
	// credential that stays. Only Upkeep.Rehash replaces a digest.
	//
	// Atomic, checked in this order: c.Once already spent is ErrExists; a
	// precondition of c.Preconditions that does not hold is ErrConflict; missing, deleted
	// or of another workspace is ErrNotFound; another version is ErrConflict; a
	// credential id that a credential of another key has is ErrCredentialExists.
	// Of N concurrent calls with one version exactly one succeeds.
	Update(ctx context.Context, k Key, c Change) error

	// Delete removes the key, which then no longer counts against the limit, and
	// leaves a tombstone: the id stays taken until Upkeep.Purge. All tokens of the
	// key are revoked. at is the time of the deletion. The checks are those of
	// Update; with version 0 the key is deleted whatever its version is.
	Delete(ctx context.Context, workspace, id string, version int64, at time.Time, c Change) error

	// List returns one page of keys (see KeyQuery) and their settings. The settings
	// are read together with the page's last key, or later. A workspace without keys
	// gives an empty page and no error.
	List(ctx context.Context, q KeyQuery) (KeyPage, error)
}

// Secrets finds keys by their secrets.
type Secrets interface {
	// LookupSecret is Keys.Lookup for the key that has a credential with the given id,
	// expired or not. If no key has one, or its key was deleted, the error is
	// ErrNotFound. The ids of public keys and trusts find their keys, too: the caller
	// checks that the credential is a secret.
	//
	// Of N concurrent calls of Create and Update that give one credential id
	// to different keys, exactly one succeeds. Once a credential was removed from its key,
	// or the key deleted, another key may have the id.
	LookupSecret(ctx context.Context, secretID string) (Found, error)
}

// Upkeep maintains key records. It serves no actor, so it changes no version, writes
// no event and raises no epoch. Only Rehash sends a notification.
type Upkeep interface {
	// RecordUses sets the LastUsed of keys and credentials. It skips a use of a key or
	// credential that does not exist any more. A time older than the stored one changes
	// nothing.
	RecordUses(ctx context.Context, uses []Use) error
	// Rehash replaces the digest of one secret, if it is still oldDigest. Atomic. A
	// missing key or secret is ErrNotFound; another digest is ErrConflict.
	Rehash(ctx context.Context, keyID, secretID, oldDigest, newDigest string) error
	// Purge removes the tombstones of keys that were deleted before the given time,
	// and returns how many. Their ids can be used again.
	Purge(ctx context.Context, before time.Time) (int, error)
	// Clock returns the time of the store's server, in UTC, or the zero time if
	// the store has only the clock of the caller's machine. A caller whose own clock
	// differs from the server's by more than the caller tolerates must not call
	// Purge, Events.Prune or Usage.Prune.
	Clock(ctx context.Context) (time.Time, error)
}

// Use is one login with one credential of a key, or one request with a secret in place of
// a token.
type Use struct {
	Key        string
	Credential string
	At         time.Time
}
