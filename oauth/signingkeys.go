package oauth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
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

// SealKey encrypts the private signing keys that the store keeps, so that a
// copy of the store alone signs nothing. The highest version of a list seals;
// the others still open, and what they sealed is sealed anew when the server
// starts and at each step of Run. Remove one once every replica has started
// with the new one.
//
// Printed, logged or marshalled it shows its version only.
type SealKey struct {
	// Version names the key in what it sealed: 1 or more, unique in a list,
	// never given to another key.
	Version int
	// Key is 32 random bytes (AES-256). It is copied.
	Key []byte
}

// String returns the redacted form, such as "seal key 3".
func (k SealKey) String() string { return "seal key " + strconv.Itoa(k.Version) }

// GoString returns the redacted form.
func (k SealKey) GoString() string { return "oauth.SealKey(" + strconv.Quote(k.String()) + ")" }

// Format writes the redacted form, whatever the verb.
func (k SealKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) } //nolint:errcheck // Printf is told by f

// MarshalText returns the redacted form.
func (k SealKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns the redacted form.
func (k SealKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// newRing makes the ring of signing keys: those of the host, or those that the
// server makes and keeps in the store, sealed, or else in its own memory. It reads
// nothing yet and does not use keys, which is nil if New fails.
func newRing(st store.Store, cfg Config, keys *apikey.Service) (*signing.Ring, error) {
	switch given, sealed := len(cfg.Signers) > 0, len(cfg.SealKeys) > 0; {
	case given && sealed:
		return nil, errors.New("Config.Signers and Config.SealKeys exclude each other: tokens are signed with given keys or with keys that the store holds sealed")
	case !given && st.SigningKeys == nil:
		return nil, errors.New("Config.Signers is empty, and Store.SigningKeys is missing: name the keys that sign tokens")
	case !given && !sealed && st.SigningKeys.Durable():
		return nil, errors.New("Config.Signers and Config.SealKeys are empty, and Store.SigningKeys is durable: name the keys that sign tokens, or those that seal them in the store")
	}
	var problems []error
	signers := make([]*jose.Signer, len(cfg.Signers))
	for i, key := range cfg.Signers {
		var err error
		if signers[i], err = key.signer(); err != nil {
			problems = append(problems, fmt.Errorf("Config.Signers[%d]: %w", i, err))
		}
	}
	sealKeys := make(map[int][32]byte, len(cfg.SealKeys))
	for i, key := range cfg.SealKeys {
		if err := key.addTo(sealKeys); err != nil {
			problems = append(problems, fmt.Errorf("Config.SealKeys[%d].%w", i, err))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return signing.New(signing.Config{
		Signers:     signers,
		Store:       st.SigningKeys,
		SealKeys:    sealKeys,
		Issuer:      cfg.Issuer,
		Algorithm:   jose.Algorithm(cfg.SigningAlgorithm),
		RotateEvery: cfg.RotateEvery,
		Now:         cfg.Now,
		StoreClock:  func(ctx context.Context) (time.Time, error) { return st.Upkeep.Clock(ctx) },
		ClockAgrees: keys.ClockAgrees,
		Logger:      cfg.Logger,
	})
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

// addTo checks the key and adds it to others by its version. The error begins with
// the name of a field.
func (k SealKey) addTo(others map[int][32]byte) error {
	switch _, twice := others[k.Version]; {
	case k.Version < 1:
		return fmt.Errorf("Version: %d, must be 1 or more", k.Version)
	case twice:
		return fmt.Errorf("Version: %d is there twice", k.Version)
	case len(k.Key) != 32:
		return fmt.Errorf("Key: %d bytes, 32 are needed", len(k.Key))
	case [32]byte(k.Key) == [32]byte{}:
		return errors.New("Key: all bytes are zero")
	}
	others[k.Version] = [32]byte(k.Key)
	return nil
}
