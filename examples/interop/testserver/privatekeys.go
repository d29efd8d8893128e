package testserver

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
)

// Signing is what a client needs that logs in with a private key. None of the API keys has a
// secret.
type Signing struct {
	// ClientID is the id of an API key that has the public half of each of Keys.
	ClientID string `json:"client_id"`
	// LenientID is the id of another one, which also accepts the URL of the token endpoint as
	// the audience, and assertions that are valid for an hour. AudienceID and LifeID are
	// of keys that accept only the one or the other.
	LenientID  string `json:"lenient_id"`
	AudienceID string `json:"audience_id"`
	LifeID     string `json:"life_id"`
	// Keys and WrongKeys hold private keys by algorithm, in PEM (PKCS #8). No API key has
	// the public half of one of WrongKeys.
	Keys      map[string]string `json:"keys"`
	WrongKeys map[string]string `json:"wrong_keys"`
	// KeyIDs are the kids of Keys by algorithm.
	KeyIDs map[string]string `json:"key_ids"`
}

// AddSigning makes the private keys and their API keys, and sets Facts.Signing.
func (w *Server) AddSigning(ctx context.Context) (err error) {
	w.Facts.Signing, err = newSigning(ctx, w.keys, w.signer)
	return err
}

func newSigning(ctx context.Context, keys *apikey.Service, spec apikey.Spec) (Signing, error) {
	s := Signing{Keys: map[string]string{}, WrongKeys: map[string]string{}, KeyIDs: map[string]string{}}
	var public []string
	for _, algorithm := range Algorithms() {
		kid := "client-" + algorithm
		key, text, err := newPrivateKey(algorithm)
		if err != nil {
			return s, err
		}
		_, wrong, err := newPrivateKey(algorithm)
		if err != nil {
			return s, err
		}
		s.Keys[algorithm], s.WrongKeys[algorithm], s.KeyIDs[algorithm] = text, wrong, kid
		jwk, err := (&jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: algorithm, Use: "sig"}).MarshalJSON()
		if err != nil {
			return s, err
		}
		public = append(public, string(jwk))
	}
	for _, k := range []struct {
		name           string
		audience, life bool
		id             *string
	}{
		{"signer", false, false, &s.ClientID},
		{"signer, lenient", true, true, &s.LenientID},
		{"signer, audience", true, false, &s.AudienceID},
		{"signer, life", false, true, &s.LifeID},
	} {
		spec.Name, spec.NoSecret, spec.Credentials = k.name, true, nil
		for _, jwk := range public {
			spec.Credentials = append(spec.Credentials, apikey.CredentialSpec{
				Name: k.name, PublicKey: &store.PublicKey{JWK: jwk, EndpointAudience: k.audience, LongAssertions: k.life},
			})
		}
		key, _, err := keys.Create(ctx, apikey.OrganizationAdmin("interop"), spec)
		if err != nil {
			return s, fmt.Errorf("%s: %w", k.name, err)
		}
		*k.id = key.ID
	}
	return s, nil
}

// AddSigner adds an API key that has a public key and no secret, and returns its id.
func (w *Server) AddSigner(ctx context.Context, jwk string) (string, error) {
	spec := w.signer
	spec.NoSecret, spec.Credentials = true, []apikey.CredentialSpec{{Name: "added", PublicKey: &store.PublicKey{JWK: jwk}}}
	key, _, err := w.keys.Create(ctx, apikey.OrganizationAdmin("interop"), spec)
	return key.ID, err
}

// newPrivateKey makes a key, and writes it in PEM.
func newPrivateKey(algorithm string) (crypto.Signer, string, error) {
	key, err := newKey(algorithm)
	if err != nil {
		return nil, "", err
	}
	if rsaKey, ok := key.(*pssKey); ok {
		key = rsaKey.PrivateKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
}
