package apikey

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/store"
)

const maxHint = 32

// checkRecord checks all of a key that comes from a backup, and returns it as
// stores keep it. An error repeats nothing of a digest.
func (s *Service) checkRecord(key store.Key) (store.Key, error) {
	var bad InvalidError
	key = key.Clone()
	key.Version, key.Epoch = 1, 0
	key.Created, key.Updated = instant(&bad, "created", key.Created), instant(&bad, "updated", key.Updated)
	key.LastUsed, key.NotAfter = instant(&bad, "last_used", key.LastUsed), instant(&bad, "not_after", key.NotAfter)
	bad.addIf(!validID(key.ID), "id", idForm)
	checkText(&bad, "workspace", key.Workspace)
	checkText(&bad, "name", key.Name)
	checkMaker(&bad, key.CreatedBy)
	bad.addIf(key.Depth < 0 || key.Depth > maxDepth, "depth", fmt.Sprintf("It must be from 0 to %d.", maxDepth))
	bad.addIf(key.Created.IsZero(), "created", "It may not be empty.")
	bad.addIf(!Expiry{key.NotAfter, key.NotAfterText}.agrees(), "not_after_text", "It must be the date that not_after is the end of.")
	bad.addIf(!key.Permissions.ContainsAll(key.Admin), "admin", "It may hold only what is among the permissions.")
	noResource := func(uri string) bool { return checkIndicator(uri) != nil }
	bad.addIf(slices.ContainsFunc(key.Resources, noResource), "resources", "A resource is an absolute URI.")
	if len(key.Secrets) > maxSecrets {
		bad.add("secrets", fmt.Sprintf("A key holds at most %d secrets.", maxSecrets))
		return key, &bad
	}
	for i := range key.Secrets {
		s.checkRecordSecret(&bad, &key.Secrets[i], key.Secrets[:i])
	}
	return key, bad.orNil()
}

func (s *Service) checkRecordSecret(bad *InvalidError, secret *store.Secret, others []store.Secret) {
	secret.Created, secret.NotAfter = instant(bad, "secrets", secret.Created), instant(bad, "secrets", secret.NotAfter)
	secret.LastUsed = instant(bad, "secrets", secret.LastUsed)
	checkMaker(bad, secret.CreatedBy)
	twice := slices.ContainsFunc(others, func(other store.Secret) bool { return other.ID == secret.ID })
	bad.addIf(secret.Prefix != "" && !slices.Contains(s.cfg.SecretPrefixes, secret.Prefix), "secrets", "A prefix is none of Config.SecretPrefixes.")
	bad.addIf(!validID(secret.ID), "secrets", idForm)
	bad.addIf(twice, "secrets", "Two secrets have one id.")
	bad.addIf(secret.Created.IsZero(), "secrets", "A secret says when it was created.")
	bad.addIf(len(secret.Hint) > maxHint, "secrets", fmt.Sprintf("A hint has at most %d bytes.", maxHint))
	if secret.Hint != "" {
		checkText(bad, "secrets", secret.Hint)
	}
	if err := s.checkDigest(secret); err != nil {
		bad.add("secrets", "A digest is of no use here: "+err.Error()+".")
	}
}

// checkDigest refuses a digest that could never let anybody in here.
func (s *Service) checkDigest(secret *store.Secret) error {
	slow := secrets.IsSlow(secret.Digest)
	switch {
	case !s.cfg.Imported && (!secret.Generated || slow):
		return errors.New("it is of an imported secret, and Config.Imported is false")
	case slow:
		_, err := secrets.ParseSlow(secret.Digest)
		return err
	}
	return s.hasher.Check(secret.Digest)
}

func checkMaker(bad *InvalidError, maker store.ActorRef) {
	if maker.Kind != "" {
		checkText(bad, "created_by", maker.Kind)
	}
	if maker.ID != "" {
		checkText(bad, "created_by", maker.ID)
	}
}

// instant takes a time over as stores keep it.
func instant(bad *InvalidError, field string, t time.Time) time.Time {
	t = micro(t)
	bad.addIf(!t.IsZero() && (t.Year() < 1 || t.Year() > maxYear), field, "A time lies outside of the years 1 to 9999.")
	return t
}
