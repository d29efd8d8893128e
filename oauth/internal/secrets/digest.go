package secrets

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/latchkey-go/latchkey/oauth/internal/hostlist"
	"github.com/latchkey-go/latchkey/store"
)

// Pepper is a key for the digests of secrets. It is kept outside the store, so that
// a copy of the store is not enough to test a guessed secret. See Config.Peppers.
//
// If it is printed, logged or marshalled, only its version shows.
type Pepper struct {
	// Version identifies the pepper in stored digests. It is 1 or more and unique
	// in the list. Never use it for another key, and give a newer pepper a higher
	// version.
	Version int
	// Key is at least 32 random bytes. It is copied.
	Key []byte

	none bool
}

// NoPepper returns the entry of Config.Peppers for digests without a pepper, which
// are plain SHA-256. Its version is 0.
func NoPepper() Pepper { return Pepper{none: true} }

// String returns the redacted form, such as "pepper 3".
func (p Pepper) String() string { return "pepper " + strconv.Itoa(p.Version) }

// Format writes the redacted form, whatever the verb.
func (p Pepper) Format(f fmt.State, verb rune) {
	writeRedacted(f, verb, p.String(), "apikey.Pepper{Version:"+strconv.Itoa(p.Version)+"}")
}

// MarshalText returns the redacted form, for JSON and logs too.
func (p Pepper) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

const (
	minPepper   = 32
	plainSHA256 = "sha256"
	hmacSHA256  = "hmac-sha256"
	// ImportedSHA256 begins the digest of an imported secret of which only the SHA-256
	// was known: the SHA-256 in base64url follows.
	ImportedSHA256 = "sha256-import$"
	// importedVersion is below that of every pepper, so that the digest is replaced.
	importedVersion = -1
	digestChars     = 43 // 32 bytes in base64url
	// pooledBytes is the capacity of the message buffers in the pool.
	pooledBytes = 1024
	// digestDomain separates these digests from any other use of a pepper.
	digestDomain = "latchkey secret digest"
)

var (
	// errPepper: a stored digest names a pepper that is not in the list.
	errPepper = errors.New("it is not in Config.Peppers")
	// errWithdrawn: a stored digest names a pepper that must not verify any more.
	errWithdrawn = errors.New("its pepper version is withdrawn")
	// ErrImported says that a secret is an imported one, which must not be verified.
	ErrImported = errors.New("the secret is an imported one, and Options.Imported (oauth.Config.APIKeys.Imported) is false; set it to true")
	// errDigest: a stored digest is not in the form this package writes.
	errDigest = errors.New("it is malformed")
)

// Binding is a secret with the record that it belongs to. The digest covers all
// four parts, so a digest that was copied to another record matches nothing.
type Binding struct {
	KeyID, Workspace, SecretID, Secret string
}

// Hasher makes and verifies the digests of generated secrets, written as
// algorithm$pepper version$digest. One pass of a fast hash is enough for 256 random
// bits. A Hasher is safe for concurrent use.
type Hasher struct {
	current   *digester
	digesters []*digester // one for each pepper, the current one first; then that of OfSHA256
	withdrawn []string
	computed  atomic.Int64
}

// Computed returns how many digests were computed. Tests use it to show that
// unknown ids cost as much as known ones.
func (h *Hasher) Computed() int64 { return h.computed.Load() }

// NewHasher returns a Hasher with the peppers of Config.Peppers. If imported is true, it
// also verifies the digests of OfSHA256. It joins all problems; each names its field.
func NewHasher(peppers []Pepper, withdrawn []string, imported bool) (*Hasher, error) {
	h := &Hasher{withdrawn: withdrawn}
	if len(peppers) == 0 {
		peppers = []Pepper{NoPepper()}
	}
	var problems []error
	for i, p := range peppers {
		if err := h.checkPepper(p); err != nil {
			problems = append(problems, fmt.Errorf("Config.Peppers[%d].%w", i, err))
			continue
		}
		h.digesters = append(h.digesters, newDigester(p.Version, p.Key))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	h.current = h.digesters[0]
	if imported {
		h.digesters = append(h.digesters, &digester{version: importedVersion, label: ImportedSHA256})
	}
	return h, nil
}

func (h *Hasher) checkPepper(p Pepper) error {
	switch {
	case p.none && (p.Version != 0 || p.Key != nil):
		return errors.New("Version: NoPepper has no other fields")
	case p.Version < 1 && !p.none:
		return fmt.Errorf("Version: %d, must be 1 or more", p.Version)
	case h.find(p.Version) != nil:
		return fmt.Errorf("Version: %d is listed twice", p.Version)
	case p.none:
		return nil
	case len(p.Key) < minPepper:
		return fmt.Errorf("Key: %d bytes, must be at least %d", len(p.Key), minPepper)
	case strings.Trim(string(p.Key), "\x00") == "":
		return errors.New("Key: all bytes are zero; use random bytes")
	}
	return nil
}

// Peppers returns the list as the store records it, the current one first.
func (h *Hasher) Peppers() hostlist.List {
	var list hostlist.List
	for _, s := range h.digesters {
		if s.version == importedVersion {
			continue
		}
		list = append(list, store.ListEntry{List: store.Peppers, Name: strconv.Itoa(s.version), Fingerprint: s.fingerprint})
	}
	return list
}

// Keyed reports whether the current digests have a pepper.
func (h *Hasher) Keyed() bool { return h.current.version > 0 }

// Digest returns the digest to store, under the current pepper.
func (h *Hasher) Digest(b Binding) string {
	sum := h.sum(h.current, b)
	return h.current.label + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Verify reports whether stored is the digest of b, and whether it should be
// rewritten because the current pepper has a higher version or stored is of OfSHA256.
// It is never rewritten to a lower version, so that replicas with different orders of
// the list do not rewrite each other's digests. An error says that stored cannot be
// compared. Then ok is false, and Verify took as long as without an error.
func (h *Hasher) Verify(stored string, b Binding) (ok, outdated bool, err error) {
	s := cmp.Or(h.underLabel(stored), h.current)
	if s.matches(stored, h.sum(s, b)) {
		return true, s.version < h.current.version, nil
	}
	if err := h.Check(stored); err != nil && !errors.Is(err, errWithdrawn) && !errors.Is(err, ErrImported) {
		return false, false, fmt.Errorf("apikey: verify digest: %w", err)
	}
	return false, false, nil
}

// Dummy takes as long as Verify. It is for a login that found no digest to compare
// with, so that its response time does not show that.
func (h *Hasher) Dummy(b Binding) {
	sum := h.sum(h.current, b)
	subtle.ConstantTimeCompare(sum[:], sum[:])
}

func (h *Hasher) sum(s *digester, b Binding) [sha256.Size]byte {
	h.computed.Add(1)
	return s.sum(b)
}

func (h *Hasher) find(version int) *digester {
	for _, s := range h.digesters {
		if s.version == version {
			return s
		}
	}
	return nil
}

// underLabel returns the digester whose label stored begins with, or nil.
func (h *Hasher) underLabel(stored string) *digester {
	for _, s := range h.digesters {
		if strings.HasPrefix(stored, s.label) {
			return s
		}
	}
	return nil
}

// Check returns an error if a stored digest cannot be compared. The error does not
// repeat the digest.
func (h *Hasher) Check(stored string) error {
	s := h.underLabel(stored)
	switch {
	case s == nil && strings.HasPrefix(stored, ImportedSHA256):
		return ErrImported
	case s == nil:
		return h.unlisted(stored)
	}
	encoded := stored[len(s.label):]
	sum, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	// The length is checked since the decoder ignores line breaks.
	if err != nil || len(sum) != sha256.Size || len(encoded) != digestChars {
		return errDigest
	}
	return nil
}

// unlisted returns the error for a digest that begins with no label.
func (h *Hasher) unlisted(stored string) error {
	version, ok := PepperOf(stored)
	title := hostlist.Title(store.ListEntry{List: store.Peppers, Name: strconv.Itoa(version)})
	switch {
	case !ok || h.find(version) != nil: // another spelling of a listed version
		return errDigest
	case slices.Contains(h.withdrawn, title):
		return errWithdrawn
	}
	return fmt.Errorf("pepper version %d: %w", version, errPepper)
}

// OfSHA256 returns the digest to store for a secret of which only the SHA-256 is known,
// and the secret's id. text is the SHA-256 in hex or in base64, standard or url, padded
// or not. The secret must have at least 128 random bits: the digest is neither slow nor
// under a pepper. The error does not repeat text.
func OfSHA256(text string) (digest, id string, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		url := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSuffix(text, "="))
		raw, err = base64.RawURLEncoding.Strict().DecodeString(url)
	}
	// The base64 decoder ignores line breaks.
	if err != nil || len(raw) != sha256.Size || strings.ContainsAny(text, "\r\n") {
		return "", "", errors.New("a SHA-256 has 64 characters of hex, or 43 of base64 (44 with padding)")
	}
	sum := [sha256.Size]byte(raw)
	if sum == sha256.Sum256(nil) {
		return "", "", errors.New("it is the SHA-256 of an empty text")
	}
	return ImportedSHA256 + base64.RawURLEncoding.EncodeToString(sum[:]), IDOf(sum), nil
}

// PepperOf returns the pepper version that a Hasher's digest names.
func PepperOf(stored string) (version int, ok bool) {
	algorithm, rest, _ := strings.Cut(stored, "$")
	number, _, _ := strings.Cut(rest, "$")
	version, err := strconv.Atoi(number)
	return version, err == nil && version >= 0 && (algorithm == plainSHA256 || algorithm == hmacSHA256)
}

// digester computes digests under one pepper, or those of OfSHA256. A closure holds the pepper's key, so
// that no printing reaches it. The hash states are pooled, since making an HMAC
// costs as much as using it.
type digester struct {
	version     int
	fingerprint string // empty without a pepper
	label       string // first part of the stored form: algorithm, pepper version
	newHash     func() hash.Hash
	states      sync.Pool // of *hashState
}

type hashState struct {
	hash    hash.Hash
	message []byte
}

func newDigester(version int, key []byte) *digester {
	s := &digester{version: version}
	if version == 0 {
		s.label, s.newHash = plainSHA256+"$0$", sha256.New
		return s
	}
	key = append([]byte(nil), key...)
	s.fingerprint = hostlist.Fingerprint(key)
	s.label = hmacSHA256 + "$" + strconv.Itoa(version) + "$"
	s.newHash = func() hash.Hash { return hmac.New(sha256.New, key) }
	return s
}

// matches reports whether stored is the stored form of sum. There is only one form,
// so nothing needs to be decoded.
func (s *digester) matches(stored string, sum [sha256.Size]byte) bool {
	var text, want [digestChars]byte
	base64.RawURLEncoding.Encode(text[:], sum[:])
	encoded, labelled := strings.CutPrefix(stored, s.label)
	n := copy(want[:], encoded)
	return subtle.ConstantTimeCompare(text[:], want[:]) == 1 && labelled && n == len(encoded)
}

func (s *digester) sum(b Binding) (sum [sha256.Size]byte) {
	if s.version == importedVersion {
		return Sum(b.Secret)
	}
	st, pooled := s.states.Get().(*hashState)
	if !pooled {
		st = &hashState{hash: s.newHash(), message: make([]byte, 0, pooledBytes)}
	}
	m := st.message[:0]
	for _, part := range [...]string{digestDomain, b.KeyID, b.Workspace, b.SecretID, b.Secret} {
		m = binary.BigEndian.AppendUint64(m, uint64(len(part)))
		m = append(m, part...)
	}
	st.hash.Reset()
	st.hash.Write(m)
	copy(sum[:], st.hash.Sum(m[:0]))
	clear(m)
	if cap(m) == cap(st.message) {
		s.states.Put(st)
	}
	return sum
}

// IsSlow reports whether a stored digest is a slow one, and not a Hasher's.
func IsSlow(stored string) bool {
	return strings.HasPrefix(stored, "$2") || strings.HasPrefix(stored, "$argon2") || isPBKDF2(stored)
}

func isPBKDF2(digest string) bool {
	return strings.HasPrefix(digest, pbkdf2SHA256) || strings.HasPrefix(digest, pbkdf2SHA512)
}
