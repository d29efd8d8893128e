package console

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/trust"
	"github.com/latchkey-go/latchkey/store"
)

// kindOf returns what people call a credential: "secret", "public key" or "trust".
func kindOf(c store.Credential) string {
	switch {
	case c.PublicKey != nil:
		return "public key"
	case c.Trust != nil:
		return "trust"
	}
	return "secret"
}

// ofKind returns those of a key's credentials that are of one kind.
func ofKind(kind string, credentials []store.Credential) []store.Credential {
	return slices.DeleteFunc(slices.Clone(credentials), func(c store.Credential) bool { return kindOf(c) != kind })
}

// entryOf returns the entry with a name. If the host has removed it, the result has only the
// name.
func entryOf(entries []trust.Issuer, name string) trust.Issuer {
	for _, entry := range entries {
		if entry.Name == name {
			return entry
		}
	}
	return trust.Issuer{Name: name, Title: name}
}

// jwkOf returns the id and the algorithm of a public key.
func jwkOf(key *store.PublicKey) (shown struct{ KID, Alg string }) {
	_ = json.Unmarshal([]byte(key.JWK), &shown) //nolint:errcheck // it was written by ParsePublicKey
	return shown
}

// Adds reports whether the form adds a public key or a trust.
func (f *keyForm) Adds() bool { return f.Page == "publickey" || f.Page == "trust" }

// addPublicKey adds a public key. What was pasted is shown again only if it is a public
// key: people paste the private one by mistake.
func (f *keyForm) addPublicKey() error {
	jwk, reason := readPublicKey(f.Get("public_key"))
	f.Set("public_key", jwk)
	if reason != "" {
		f.fail("public_key", reason)
	}
	return f.add(apikey.CredentialSpec{PublicKey: &store.PublicKey{
		JWK: jwk, EndpointAudience: f.Get("endpoint_audience") != "", LongAssertions: f.Get("long_assertions") != "",
	}})
}

// readPublicKey reads a public key, as a JWK or as PEM, and returns its JWK, or what is wrong.
func readPublicKey(text string) (jwk, reason string) {
	if strings.TrimSpace(text) == "" {
		return "", "Paste the public key."
	}
	data, err := []byte(text), error(nil)
	if strings.Contains(text, "-----BEGIN ") {
		data, err = jose.JWKFromPEM(data)
	}
	if err == nil {
		_, data, err = jose.ParsePublicKey(data)
	}
	if err != nil {
		return "", "This key cannot be used (" + strings.TrimPrefix(err.Error(), jose.ErrKey.Error()+": ") + "). It is not kept. If it was a private key, make a new pair, because the private key may have been seen."
	}
	return string(data), ""
}

// addTrust adds a trust of an entry.
func (f *keyForm) addTrust() error {
	added := &store.Trust{Issuer: f.Entry.Name}
	for _, claim := range f.Entry.Claims {
		if value := strings.TrimSpace(f.Get("claim_" + claim.Name)); value != "" {
			added.Claims = append(added.Claims, store.Claim{Name: claim.Name, Value: value})
		}
	}
	return f.add(apikey.CredentialSpec{Trust: added})
}

// add adds a credential to the key, and shows how to log in with it.
func (f *keyForm) add(spec apikey.CredentialSpec) error {
	s := f.call
	spec.Name, spec.Version = f.Get("name"), f.Version
	if spec.Name == "" {
		f.fail("name", "Type which program it is for, such as \"release workflow\".")
	}
	if expiry := f.expiry(); expiry != nil {
		spec.NotAfter = expiry.At
	}
	if len(f.wrong) > 0 {
		return f.ask(http.StatusUnprocessableEntity, f.wrong)
	}
	key, err := s.keys().AddCredential(s.r.Context(), s.actor(), f.Key.ID, spec)
	if err != nil {
		return err
	}
	return s.redirect("done=add", "keys", key.ID, "credentials", key.Credentials[len(key.Credentials)-1].ID)
}

// credentialPage is the data of the page that shows how a program logs in with a public key
// or a trust.
type credentialPage struct {
	Key        apikey.Key
	Credential *store.Credential
	Claims     map[string]string // of the trust
	Entry      trust.Issuer
	// Issuer is the audience of assertions, and LoginURL where they are sent.
	Issuer, LoginURL string
}

// Offers reports whether trusts of the entry may name a claim. The page knows the ready
// entries of package trust by a claim of theirs.
func (p credentialPage) Offers(claim string) bool {
	return slices.ContainsFunc(p.Entry.Claims, func(c trust.Claim) bool { return c.Name == claim })
}

// Account returns the service account of Kubernetes that the trust names, as far as it does.
func (p credentialPage) Account() (a struct{ Namespace, Name string }) {
	parts := append(strings.Split(p.Claims["sub"], ":"), "", "", "", "") // system:serviceaccount:NAMESPACE:NAME
	a.Namespace, a.Name = cmp.Or(p.Claims["namespace"], parts[2]), cmp.Or(p.Claims["serviceaccount"], strings.TrimSuffix(parts[3], "*"))
	return a
}

func (s *call) showCredential() error {
	key, err := s.keys().Get(s.r.Context(), s.actor(), s.key())
	if err != nil {
		return err
	}
	page := credentialPage{Key: key, Claims: map[string]string{}}
	if page.Credential, err = s.credentialOf(&key); err != nil {
		return err
	}
	if page.Credential.IsSecret() {
		return store.ErrNotFound
	}
	if t := page.Credential.Trust; t != nil {
		page.Entry = entryOf(s.keys().TrustedIssuers(), t.Issuer)
		for _, claim := range t.Claims {
			page.Claims[claim.Name] = claim.Value
		}
	}
	var tokenURL string
	page.Issuer, tokenURL = s.keys().Issuer()
	page.LoginURL = cmp.Or(s.c.cfg.LoginURL, strings.ReplaceAll(tokenURL, "'", "%27"))
	return s.show(http.StatusOK, "credential", frame{Here: "keys", Title: "Log in with " + page.Credential.Name, Workspace: key.Workspace, Data: page})
}

// credentialOf returns the credential of a key that the path names.
func (s *call) credentialOf(key *apikey.Key) (*store.Credential, error) {
	i := slices.IndexFunc(key.Credentials, func(c store.Credential) bool { return c.ID == s.pathID("credential") })
	if i < 0 {
		return nil, store.ErrNotFound
	}
	return &key.Credentials[i], nil
}
