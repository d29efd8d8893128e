package jose

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// ParsePrivateKeyPEM reads one private key: PKCS#8 ("PRIVATE KEY"), SEC 1
// ("EC PRIVATE KEY") or PKCS#1 ("RSA PRIVATE KEY"). The curve parameters that
// openssl writes before a key are skipped. The error says what is wrong and contains
// no part of the key. It wraps ErrKey for a key that no algorithm can use.
func ParsePrivateKeyPEM(data []byte) (crypto.Signer, error) {
	var block *pem.Block
	rest := data
	for {
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("jose: read private key: the input has no PEM block")
		}
		if block.Type != "EC PARAMETERS" {
			break
		}
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("jose: read private key: the input must hold only one key, but more data follows it")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("jose: read private key: the key is encrypted; decrypt it first")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("jose: read private key: the PEM block is a %.40q and not a private key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("jose: read private key: the contents of the %s block are not valid", block.Type)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a key of type %T cannot sign", ErrKey, key)
	}
	if _, err := DefaultAlgorithm(signer); err != nil {
		return nil, err
	}
	return signer, nil
}

// JWKFromPEM returns the JWK of the public key ("PUBLIC KEY") that data is, for
// ParsePublicKey. The error wraps ErrKey and contains no part of data.
func JWKFromPEM(data []byte) ([]byte, error) {
	block, rest := pem.Decode(data)
	// What pem.Decode skips may be a private key.
	alone := bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN PUBLIC KEY-----")) && bytes.Count(data, []byte("-----BEGIN")) == 1
	if !alone || block == nil || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%w: it is not one PEM block of the type PUBLIC KEY and nothing else", ErrKey)
	}
	var key jwk.Key
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err == nil {
		key, err = jwk.FromRaw(public)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the PEM block holds no key that can be used", ErrKey)
	}
	return json.Marshal(key)
}

// PublicJWK returns the JWK of a public key, as ParsePublicKey does. Another key is an error,
// as are private keys.
func PublicJWK(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKey, err)
	}
	jwk, err := JWKFromPEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err == nil {
		_, jwk, err = ParsePublicKey(jwk)
	}
	return string(jwk), err
}
