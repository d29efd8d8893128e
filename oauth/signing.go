package oauth

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// SigningKey is a private key that signs tokens.
type SigningKey struct {
	// ID is the kid. Default: the RFC 7638 thumbprint.
	ID string
	// Algorithm is ES256, RS256, PS256, EdDSA or HS256. Default: ES256 for a
	// P-256 key, RS256 for an RSA key of at least 2048 bits, EdDSA for an
	// Ed25519 key, HS256 for Secret.
	Algorithm string
	// Key is the private key; one in a KMS or HSM works too.
	Key crypto.Signer
	// Secret, instead of Key, is an HS256 key of at least 32 bytes, for a
	// host that is its own only resource server: it is not published.
	Secret []byte
}

// String names the key by its id and algorithm. Nothing that prints, logs or
// marshals a SigningKey shows the key itself.
func (k SigningKey) String() string { return "signing key " + k.ID + " " + k.Algorithm }

// GoString returns what String does.
func (k SigningKey) GoString() string { return "oauth.SigningKey(" + strconv.Quote(k.String()) + ")" }

// Format writes what String returns, whatever the verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) } //nolint:errcheck // Printf is told by f

// MarshalText returns what String does.
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns what String does.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseSigningKey reads a private key from PEM (PKCS #8, SEC 1 or PKCS #1).
func ParseSigningKey(pem []byte) (SigningKey, error) {
	key, err := jose.ParsePrivateKeyPEM(pem)
	if err != nil {
		return SigningKey{}, fmt.Errorf("oauth: signing key: %w", err)
	}
	return SigningKey{Key: key}, nil
}

func (k SigningKey) signer() (*jose.Signer, error) {
	var key any = k.Key
	switch {
	case (k.Key == nil) == (len(k.Secret) == 0):
		return nil, errors.New("exactly one of Key and Secret must be set")
	case k.Key == nil:
		key = k.Secret
	}
	algorithm := jose.Algorithm(k.Algorithm)
	if algorithm == "" {
		var err error
		if algorithm, err = jose.DefaultAlgorithm(key); err != nil {
			return nil, err
		}
	}
	return jose.NewSigner(algorithm, k.ID, key)
}

// signing builds the ring: of the host's keys, of those that the store holds
// sealed, or one that lives in this process where nothing else does longer. It
// reads nothing yet.
func signing(st store.Store, cfg Config) (*ring, error) {
	switch {
	case len(cfg.Signers) > 0 && len(cfg.SealKeys) > 0:
		return nil, errors.New("Config.Signers and Config.SealKeys exclude each other: tokens are signed with given keys or with keys that the store holds sealed")
	case len(cfg.Signers) > 0:
		return givenRing(cfg.Signers)
	case st.SigningKeys == nil:
		return nil, errors.New("Config.Signers is empty, and Store.SigningKeys is missing: name the keys that sign tokens")
	case len(cfg.SealKeys) == 0 && st.SigningKeys.Durable():
		return nil, errors.New("Config.Signers and Config.SealKeys are empty, and Store.SigningKeys is durable: name the keys that sign tokens, or those that seal them in the store")
	}
	r := &ring{
		turn:      make(chan struct{}, 1),
		keys:      st.SigningKeys,
		shared:    true,
		every:     cfg.RotateEvery,
		algorithm: jose.Algorithm(cfg.SigningAlgorithm),
		clock:     cfg.Now,
		log:       cfg.Logger,
	}
	sealKeys := cfg.SealKeys
	if len(sealKeys) == 0 {
		key := make([]byte, sealKeySize)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("no random seal key: %w", err)
		}
		sealKeys, r.keys, r.shared = []SealKey{{Version: 1, Key: key}}, &processKeys{}, false
	}
	var err error
	r.seal, err = newSealer(cfg.Issuer, sealKeys)
	return r, err
}

func givenRing(keys []SigningKey) (*ring, error) {
	signers := make([]*jose.Signer, len(keys))
	var problems []error
	for i, key := range keys {
		var err error
		if signers[i], err = key.signer(); err != nil {
			problems = append(problems, fmt.Errorf("Config.Signers[%d]: %w", i, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return newRing(signers)
}
