package oauth

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
)

// SigningKey is a private key that signs tokens.
type SigningKey struct {
	// ID is the key ID (kid). Default: the RFC 7638 thumbprint.
	ID string
	// Algorithm is ES256, RS256, PS256, EdDSA or HS256. Default: ES256 for a
	// P-256 key, RS256 for an RSA key of at least 2048 bits, EdDSA for an
	// Ed25519 key, HS256 for Secret.
	Algorithm string
	// Key is the private key; one in a KMS or HSM works too.
	Key crypto.Signer
	// Secret may be set instead of Key: an HS256 key of at least 32 bytes. It is
	// not published, so only this server can verify the tokens.
	Secret []byte
}

// String names the key by its id and algorithm. Nothing that prints, logs or
// marshals a SigningKey shows the key itself.
func (k SigningKey) String() string { return "signing key " + k.ID + " " + k.Algorithm }

// GoString returns the text of String in the form of a Go expression.
func (k SigningKey) GoString() string { return "oauth.SigningKey(" + strconv.Quote(k.String()) + ")" }

// Format writes what String returns, whatever the verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) } //nolint:errcheck // f reports its own errors

// MarshalText returns what String returns.
func (k SigningKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns what String returns.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ParseSigningKey reads a private key from PEM (PKCS #8, SEC 1 or PKCS #1).
func ParseSigningKey(pem []byte) (SigningKey, error) {
	key, err := jose.ParsePrivateKeyPEM(pem)
	if err != nil {
		return SigningKey{}, fmt.Errorf("oauth: signing key: %w", err)
	}
	return SigningKey{Key: key}, nil
}

// SealKey encrypts the private signing keys in the store, so that a copy of the
// store is not enough to sign tokens. See Config.SealKeys.
//
// If it is printed, logged or marshalled, only its version shows.
type SealKey struct {
	// Version identifies the key that encrypted a signing key. It is 1 or more and
	// unique in the list. Never use it for another key, and give a newer key a
	// higher version.
	Version int
	// Key is 32 random bytes (AES-256). It is copied.
	Key []byte
}

// String returns the redacted form, such as "seal key 3".
func (k SealKey) String() string { return "seal key " + strconv.Itoa(k.Version) }

// GoString returns the redacted form as a Go expression.
func (k SealKey) GoString() string { return "oauth.SealKey(" + strconv.Quote(k.String()) + ")" }

// Format writes the redacted form, whatever the verb.
func (k SealKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) } //nolint:errcheck // f reports its own errors

// MarshalText returns the redacted form.
func (k SealKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// LogValue returns the redacted form.
func (k SealKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Rotation are the options of RotateSigningKey.
type Rotation struct {
	// Now makes the new key sign at once instead of 10 minutes after it is published.
	// A resource server elsewhere does not have the key yet. It refuses the key's
	// tokens until it fetches the JWKS again: with package bearer that takes at most
	// a minute, with other libraries as long as they cache the JWKS (5 minutes if
	// they follow the Cache-Control header).
	Now bool
}

// RotateSigningKey makes the next signing key now. It is published at once and signs
// 10 minutes later, unless r.Now is set. The previous key still verifies until the
// last token that it can have signed has expired. If the next key is already
// published and r.Now is not set, nothing changes. Other replicas follow at once if
// the store has a Watch, and otherwise within a minute.
//
// It returns an error if the signing keys are the host's (Config.Signers), if the
// clock of this process differs too much from the store's (APIKeys.MaxClockSkew), or if
// the store is unavailable.
func (s *Server) RotateSigningKey(ctx context.Context, r Rotation) error {
	if err := s.ring.Rotate(ctx, r.Now); err != nil {
		return fmt.Errorf("oauth: rotate the signing key: %w", err)
	}
	return nil
}

// RevokeSigningKeys replaces all signing keys by a new one, which signs at once. Call
// it if signing keys leaked. The old keys are removed from the JWKS and their tokens
// are no longer accepted: on this server at once; on other replicas at once if the
// store has a Watch, and otherwise within a minute; at a resource server elsewhere as
// soon as it fetches the JWKS again. Until then that server also refuses the tokens
// of the new key; see Rotation.Now. The errors are those of RotateSigningKey.
func (s *Server) RevokeSigningKeys(ctx context.Context) error {
	if err := s.ring.Revoke(ctx); err != nil {
		return fmt.Errorf("oauth: revoke the signing keys: %w", err)
	}
	return nil
}

// newRing makes the ring of signing keys: those of Config.Signers, or else those that
// the server makes and keeps in the store. These are sealed if there are
// Config.SealKeys, which a durable store requires. The returned list has an entry for each of Config.Signers. newRing reads nothing from the
// store and does not call keys, which may be nil.
func newRing(st store.Store, cfg Config, keys *apikey.Service) (*signing.Ring, hostlist.List, error) {
	var given hostlist.List
	signers, sealKeys, err := signingKeys(st, cfg)
	for _, s := range signers {
		entry, bad := entryOf(s.Public())
		given, err = append(given, entry), errors.Join(err, bad)
	}
	if err = errors.Join(err, given.CheckWithdrawn(cfg.APIKeys.Withdrawn)); err != nil {
		return nil, given, err
	}
	ring, err := signing.New(signing.Config{
		Signers:     signers,
		Store:       st.SigningKeys,
		SealKeys:    sealKeys,
		Withdrawn:   cfg.APIKeys.Withdrawn,
		Issuer:      cfg.Issuer,
		Algorithm:   jose.Algorithm(cfg.SigningAlgorithm),
		RotateEvery: cfg.RotateEvery,
		Now:         cfg.Now,
		StoreClock:  func(ctx context.Context) (time.Time, error) { return st.Upkeep.Clock(ctx) },
		CheckClock:  keys.CheckClock,
		Logger:      cfg.Logger,
	})
	return ring, given, err
}

// signingKeys checks Config.Signers and Config.SealKeys, and converts them.
func signingKeys(st store.Store, cfg Config) ([]*jose.Signer, []signing.SealKey, error) {
	switch given, sealed := len(cfg.Signers) > 0, len(cfg.SealKeys) > 0; {
	case given && sealed:
		return nil, nil, errors.New("Config.Signers and Config.SealKeys exclude each other: set Signers to sign with your own keys, or SealKeys to sign with keys that the server makes and keeps sealed in the store")
	case !given && st.SigningKeys == nil:
		return nil, nil, errors.New("Config.Signers is empty, and Store.SigningKeys is missing: set Config.Signers to the keys that sign tokens")
	case !given && !sealed && st.SigningKeys.Durable():
		return nil, nil, errors.New("Config.Signers and Config.SealKeys are empty, and Store.SigningKeys is durable: set Signers to the keys that sign tokens, or SealKeys to the keys that encrypt the server's own in the store")
	}
	var problems []error
	signers := make([]*jose.Signer, len(cfg.Signers))
	for i, key := range cfg.Signers {
		var err error
		if signers[i], err = key.signer(); err != nil {
			problems = append(problems, fmt.Errorf("Config.Signers[%d]: %w", i, err))
		}
	}
	var sealKeys []signing.SealKey
	for i, key := range cfg.SealKeys {
		if err := key.check(cfg.SealKeys[:i]); err != nil {
			problems = append(problems, fmt.Errorf("Config.SealKeys[%d].%w", i, err))
			continue
		}
		sealKeys = append(sealKeys, signing.SealKey{Version: key.Version, Key: [32]byte(key.Key)})
	}
	if err := errors.Join(problems...); err != nil {
		return nil, nil, err
	}
	return signers, sealKeys, nil
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

// check checks a key; before are the keys before it in the list. The error begins with
// the name of a field.
func (k SealKey) check(before []SealKey) error {
	switch {
	case k.Version < 1:
		return fmt.Errorf("Version: %d, but it must be 1 or more", k.Version)
	case slices.ContainsFunc(before, func(o SealKey) bool { return o.Version == k.Version }):
		return fmt.Errorf("Version: %d is listed twice", k.Version)
	case len(k.Key) != 32:
		return fmt.Errorf("Key: %d bytes, but it must be 32 random bytes", len(k.Key))
	case [32]byte(k.Key) == [32]byte{}:
		return errors.New("Key: all bytes are zero; use random bytes")
	}
	return nil
}
