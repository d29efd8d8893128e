package signing

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// sealDomain separates these seals from any other use of a seal key.
const sealDomain = "latchkey signing key"

// SealKey seals and opens private keys (AES-256).
type SealKey struct {
	Version int
	Key     [32]byte
}

// sealer seals and opens private keys with AES-256-GCM. It never changes.
type sealer struct {
	issuer    string
	first     int           // version of the first seal key of the list
	list      hostlist.List // of the seal keys
	aeads     map[int]cipher.AEAD
	withdrawn []string // by title
}

func newSealer(issuer string, keys []SealKey, withdrawn []string) (*sealer, error) {
	s := &sealer{issuer: issuer, first: keys[0].Version, aeads: make(map[int]cipher.AEAD, len(keys)), withdrawn: withdrawn}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Key[:])
		if err == nil {
			// A random nonce of 96 bits is safe for 2^32 uses; a ring makes one for
			// each key and each change of the seal key.
			s.aeads[k.Version], err = cipher.NewGCMWithRandomNonce(block)
		}
		if err != nil {
			return nil, fmt.Errorf("seal key %d: %w", k.Version, err)
		}
		s.list = append(s.list, entry(k.Version, hostlist.Fingerprint(k.Key[:])))
	}
	return s, s.list.CheckWithdrawn(withdrawn)
}

func entry(version int, fingerprint string) store.ListEntry {
	return store.ListEntry{List: hostlist.SealKeys, Name: strconv.Itoa(version), Fingerprint: fingerprint}
}

// seal encrypts the private key (PKCS #8) into the record, with the first seal key,
// or with the one that sealed it before if that has a higher version.
func (s *sealer) seal(record *store.SigningKey, private []byte) {
	if record.SealKey < s.first {
		record.SealKey, record.SealFingerprint = s.first, s.list[0].Fingerprint
	}
	record.Sealed = s.aeads[record.SealKey].Seal(nil, nil, private, s.bound(record)) //nolint:gosec // this AEAD draws its nonce
}

// isWithdrawn reports whether the host has withdrawn the seal key of the record. The
// signing key can then no longer be opened.
func (s *sealer) isWithdrawn(record store.SigningKey) bool {
	return slices.Contains(s.withdrawn, hostlist.Title(entry(record.SealKey, "")))
}

// open returns the private key of the record as PKCS #8.
func (s *sealer) open(record *store.SigningKey) ([]byte, error) {
	used := entry(record.SealKey, record.SealFingerprint)
	if err := s.list.Check([]store.ListEntry{used}, time.Time{}, nil); err != nil {
		return nil, fmt.Errorf("%w (it sealed the signing key %.64q)", err, record.ID)
	}
	private, err := s.aeads[record.SealKey].Open(nil, nil, record.Sealed, s.bound(record))
	if err != nil {
		return nil, fmt.Errorf("Config.SealKeys: %s does not open the signing key %.64q: the record was changed, or made for another issuer than %q",
			hostlist.Title(used), record.ID, s.issuer)
	}
	return private, nil
}

// reseal changes a record and seals its key again, since the seal covers the
// record.
func (s *sealer) reseal(record *store.SigningKey, change func(*store.SigningKey)) error {
	private, err := s.open(record)
	if err != nil {
		return fmt.Errorf("seal the signing keys again: %w", err)
	}
	change(record)
	s.seal(record, private)
	return nil
}

// signerOf opens a record. If the ring has already opened it, signerOf returns the
// same signer, since opening takes time and a verifier compares identical copies
// faster.
func (r *Ring) signerOf(record *store.SigningKey) (*jose.Signer, error) {
	for _, k := range r.current.Load().keys {
		if k.SealKey == record.SealKey && bytes.Equal(k.Sealed, record.Sealed) && bytes.Equal(r.sealer.bound(&k.SigningKey), r.sealer.bound(record)) {
			return k.signer, nil
		}
	}
	text, err := r.sealer.open(record)
	if err != nil {
		return nil, err
	}
	private, err := x509.ParsePKCS8PrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("the record of the signing key %.64q has no private key", record.ID)
	}
	signer, err := jose.NewSigner(jose.Algorithm(record.Algorithm), record.ID, private)
	if err != nil {
		return nil, fmt.Errorf("the signing key %.64q: %w", record.ID, err)
	}
	return signer, nil
}

// bound returns the additional data of a seal. A key opens only with the kid,
// algorithm, issuer and times that it was sealed with, so an attacker who can write
// to the store cannot prolong a key. Each text follows its length, so that
// different texts never give the same data.
func (s *sealer) bound(record *store.SigningKey) []byte {
	var data []byte
	for _, at := range []time.Time{record.NotBefore, record.NotAfter, record.PublishUntil} {
		data = binary.BigEndian.AppendUint64(data, uint64(at.UnixMicro()))
	}
	for _, part := range []string{sealDomain, record.ID, record.Algorithm, s.issuer} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part))) //nolint:gosec // a record is smaller than 4 GiB
		data = append(data, part...)
	}
	return data
}
