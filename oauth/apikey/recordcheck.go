package apikey

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

const maxHint = 32 // bytes

// checkRecord checks a key from a backup, and returns it in the form that stores
// keep. Its errors contain no part of a digest.
func (s *Service) checkRecord(key store.Key) (store.Key, error) {
	var bad InvalidError
	key = key.Clone()
	key.Version, key.Epoch = 1, 0
	key.Created, key.Updated = instant(&bad, "created", key.Created), instant(&bad, "updated", key.Updated)
	key.LastUsed, key.NotAfter = instant(&bad, "last_used", key.LastUsed), instant(&bad, "not_after", key.NotAfter)
	bad.addIf(!validID(key.ID), "id", idForm)
	checkText(&bad, "workspace", key.Workspace)
	checkText(&bad, "name", key.Name)
	checkActor(&bad, "created_by", key.CreatedBy)
	bad.addIf(key.Depth < 0 || key.Depth > maxDepth, "depth", fmt.Sprintf("It must be from 0 to %d.", maxDepth))
	bad.addIf(key.Created.IsZero(), "created", "It may not be empty.")
	bad.addIf(!Expiry{key.NotAfter, key.NotAfterText}.agrees(), "not_after_text", "It must be empty or the date whose end, in UTC, is not_after.")
	bad.addIf(!key.Permissions.ContainsAll(key.AdminPermissions), "admin", "It may contain only permissions of the key.")
	noResource := func(uri string) bool { return checkIndicator(uri) != nil }
	bad.addIf(slices.ContainsFunc(key.Resources, noResource), "resources", "Each resource must be an absolute URI in printable ASCII, without a user, a fragment, quotes and backslashes.")
	for _, kind := range []string{secretKind, publicKeyKind, trustKind} {
		if most := maxOfKind(kind); len(ofKind(&key, kind)) > most {
			bad.add(kind, fmt.Sprintf("A key holds at most %d %s.", most, strings.ReplaceAll(kind, "_", " ")))
			return key, &bad
		}
	}
	for i := range key.Credentials {
		c := &key.Credentials[i]
		bad.addIf(key.Credential(c.ID) != c, kindOf(c), "Two credentials have the same id.")
		s.checkRecordCredential(&bad, c)
	}
	return key, bad.orNil()
}

func (s *Service) checkRecordCredential(bad *InvalidError, c *store.Credential) {
	kind := kindOf(c)
	c.Created, c.NotAfter, c.LastUsed = instant(bad, kind, c.Created), instant(bad, kind, c.NotAfter), instant(bad, kind, c.LastUsed)
	checkActor(bad, kind, c.CreatedBy)
	bad.addIf(!validID(c.ID), kind, idForm)
	bad.addIf(c.Created.IsZero(), kind, "A credential must have the time of its creation.")
	if kind == secretKind {
		s.checkRecordSecret(bad, c)
		return
	}
	checkText(bad, kind, c.Name)
	bad.addIf(c.PublicKey != nil && c.Trust != nil || c.Digest+c.Hint+c.Prefix != "" || c.Generated, kind, "A credential is either a secret, a public key or a trust.")
	if c.PublicKey != nil {
		c.PublicKey.JWK = checkJWK(bad, kind, c.PublicKey.JWK)
		return
	}
	checkTrustForm(bad, c)
}

// checkTrustForm checks a trust of a backup. Its issuer need not be listed now: then the
// trust accepts nothing. Nor does it if it breaks the rules of the issuer's entry.
func checkTrustForm(bad *InvalidError, c *store.Credential) {
	c.Trust.Claims = sortedClaims(c.Trust.Claims)
	problem := trust.Malformed(*c.Trust)
	bad.addIf(problem != "", trustKind, problem)
	bad.addIf(!strings.HasPrefix(c.ID, c.Trust.Issuer+"."), trustKind, "The id of a trust begins with the name of its issuer and a dot.") // see trust.List.Names
}

func (s *Service) checkRecordSecret(bad *InvalidError, secret *store.Credential) {
	bad.addIf(secret.Name != "", secretKind, "A secret has no name.")
	bad.addIf(secret.Prefix != "" && !slices.Contains(s.cfg.SecretPrefixes, secret.Prefix), secretKind, fmt.Sprintf("The prefix %.40q is not in Config.SecretPrefixes; add it.", secret.Prefix))
	bad.addIf(len(secret.Hint) > maxHint, secretKind, fmt.Sprintf("A hint has at most %d bytes.", maxHint))
	if secret.Hint != "" {
		checkText(bad, secretKind, secret.Hint)
	}
	if err := s.checkDigest(secret); err != nil {
		bad.add(secretKind, "A digest cannot be verified by this service: "+err.Error()+".")
	}
}

// checkDigest refuses a digest that no login with this configuration could match.
func (s *Service) checkDigest(secret *store.Credential) error {
	slow := secrets.IsSlow(secret.Digest)
	switch {
	case !s.cfg.Imported && (!secret.Generated || slow):
		return secrets.ErrImported
	case slow:
		_, err := secrets.ParseSlow(secret.Digest)
		return err
	}
	if sum, imported := strings.CutPrefix(secret.Digest, secrets.ImportedSHA256); imported {
		if _, id, err := secrets.OfSHA256(sum); err == nil && (id != secret.ID || !secret.Generated) {
			return errors.New("the secret must be declared generated, and its id must be derived from the digest")
		}
	}
	return s.hasher.Check(secret.Digest)
}

func checkActor(bad *InvalidError, field string, actor store.ActorRef) {
	bad.addIf(actor.Kind != "" && !validID(actor.Kind), field, "A kind has 1 to 255 printable ASCII characters without spaces.")
	if actor.ID != "" {
		checkText(bad, field, actor.ID)
	}
}

// instant checks a time, and returns it in the form that stores keep.
func instant(bad *InvalidError, field string, t time.Time) time.Time {
	t = micro(t)
	bad.addIf(!t.IsZero() && (t.Year() < 1 || t.Year() > maxYear), field, "A time must be in the years 1 to 9999.")
	return t
}
