package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// addCredential returns the handler of POST /keys/{key}/public_keys or of POST
// /keys/{key}/trusts.
func addCredential(read func(*body) apikey.CredentialSpec) func(*Handler, *call) error {
	return func(h *Handler, c *call) error {
		b := &c.body
		spec := read(b)
		spec.Version, spec.Once = c.version, c.once
		if b.has("replaces") || b.has("grace") {
			b.require("replaces", "grace")
			spec.Replaces, spec.Grace = b.text("replaces"), b.seconds("grace")
			if spec.Replaces == "" {
				b.bad.add("replaces", "It may not be empty.")
			}
		}
		if err := c.bad.orNil(); err != nil {
			return err
		}
		key, err := h.keys.AddCredential(c.r.Context(), c.actor, c.key(), spec)
		if err != nil {
			return err
		}
		c.setETag(key.Version)
		return c.answer(http.StatusCreated, showKey(&key))
	}
}

// retire serves DELETE /keys/{key}/credentials/{credential}.
func (h *Handler) retire(c *call) error {
	return c.answerKey(h.keys.Retire(c.r.Context(), c.actor, c.key(), c.params["credential"], c.version))
}

// readPublicKey reads the members of a public key.
func readPublicKey(b *body) apikey.CredentialSpec {
	b.require("name", "public_key")
	read[map[string]any](b, "public_key", "It must be an object.")
	jwk, _ := b.members.Get("public_key")
	return apikey.CredentialSpec{
		Name:      b.text("name"),
		PublicKey: &store.PublicKey{JWK: string(jwk), EndpointAudience: b.flag("endpoint_audience"), LongAssertions: b.flag("long_assertions")},
		NotAfter:  b.expiry("expires_at").At,
	}
}

// readTrust reads the members of a trust.
func readTrust(b *body) apikey.CredentialSpec {
	b.require("name", "issuer", "claims")
	// null becomes "", which trust.List.Check refuses.
	claims := read[map[string]string](b, "claims", "It must be an object whose values are strings.")
	t := &store.Trust{Issuer: b.text("issuer")}
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		t.Claims = append(t.Claims, store.Claim{Name: name, Value: claims[name]})
	}
	return apikey.CredentialSpec{Name: b.text("name"), Trust: t, NotAfter: b.expiry("expires_at").At}
}

// credentials reads the array of credentials that a new key gets. It ends at the first
// one that is wrong, so that the answer is not longer than the request.
func (c *call) credentials(name string, known []string, one func(*body) apikey.CredentialSpec) (specs []apikey.CredentialSpec, err error) {
	for i, object := range read[[]map[string]json.RawMessage](&c.body, name, "It must be an array of objects.") {
		b, at := body{bad: &c.bad}, fmt.Sprintf("%s[%d].", name, i)
		for _, member := range slices.Sorted(maps.Keys(object)) { // no name is there twice: see readBody
			if !slices.Contains(known, member) {
				return nil, malformed(malformedMember, field{Field: at + shown(member), Reason: "Unknown member."})
			}
			b.members = append(b.members, strictjson.Member{Name: member, Value: object[member]})
		}
		c.bad.prefix = at
		specs = append(specs, one(&b))
		if c.bad.prefix = ""; len(c.bad.list) > 0 {
			break
		}
	}
	return specs, nil
}

// showCredential returns a credential of a key, and the list of the answer that it is in.
func showCredential(c *store.Credential) (list string, m members) {
	m = members{"id": c.ID, "created_at": c.Created, "expires_at": orNull(c.NotAfter), "last_used_at": orNull(c.LastUsed)}
	if c.IsSecret() {
		m["hint"] = unlessZero(c.Hint)
		return "secrets", m
	}
	m["name"], m["created_by"] = c.Name, c.CreatedBy
	if c.PublicKey != nil {
		jwk := map[string]string{}
		_ = json.Unmarshal([]byte(c.PublicKey.JWK), &jwk) //nolint:errcheck // the service wrote it, with strings only
		m["public_key"], m["kid"], m["algorithm"] = jwk, jwk["kid"], jwk["alg"]
		m["endpoint_audience"], m["long_assertions"] = c.PublicKey.EndpointAudience, c.PublicKey.LongAssertions
		return "public_keys", m
	}
	claims := make(map[string]string, len(c.Trust.Claims))
	for _, claim := range c.Trust.Claims {
		claims[claim.Name] = claim.Value
	}
	m["issuer"], m["claims"] = c.Trust.Issuer, claims
	return "trusts", m
}

// trustedIssuers serves GET /trusted_issuers: the issuers that a trust can name.
func (h *Handler) trustedIssuers(c *call) error {
	return c.answer(http.StatusOK, members{"issuers": each(h.keys.TrustedIssuers(), func(i *trust.Issuer) members {
		return members{
			"name": i.Name, "title": i.Title, "issuer": i.Issuer, "shared": i.Shared, "one_of": append([]string{}, i.OneOf...),
			"claims": each(i.Claims, func(c *trust.Claim) members {
				return members{"name": c.Name, "immutable": c.Immutable, "help": unlessZero(c.Help)}
			}),
		}
	})})
}
