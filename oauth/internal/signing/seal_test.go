package signing_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/bearer"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/oauth/internal/signing"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

// opened opens a record by the documented format, without this package's code.
func opened(t testing.TB, version int, record store.SigningKey) []byte {
	t.Helper()
	require.Equal(t, version, record.SealKey)
	private, err := aead(t, version).Open(nil, record.Sealed[:12], record.Sealed[12:], bound(&record))
	require.NoError(t, err)
	return private
}

// changed is a record as it would be if it had been sealed after a change.
func changed(t testing.TB, record store.SigningKey, change func(*store.SigningKey)) store.SigningKey {
	t.Helper()
	private := opened(t, record.SealKey, record)
	change(&record)
	nonce := bytes.Repeat([]byte{7}, 12)
	record.Sealed = aead(t, record.SealKey).Seal(nonce, nonce, private, bound(&record))
	return record
}

func aead(t testing.TB, version int) cipher.AEAD {
	t.Helper()
	key := sealKey(version)
	block, err := aes.NewCipher(key[:])
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return gcm
}

func bound(record *store.SigningKey) []byte {
	var bound []byte
	for _, at := range []time.Time{record.NotBefore, record.NotAfter, record.PublishUntil} {
		bound = binary.BigEndian.AppendUint64(bound, uint64(at.UnixMicro()))
	}
	for _, part := range []string{"latchkey signing key", record.ID, record.Algorithm, issuer} {
		bound = binary.BigEndian.AppendUint32(bound, uint32(len(part)))
		bound = append(bound, part...)
	}
	return bound
}

func TestStoreHoldsNoPrivateKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	srv := f.server()
	f.clock.Advance(30*24*time.Hour - 10*time.Minute)
	require.NoError(t, f.step(srv))
	ring := f.ring()
	require.Len(t, ring.Keys, 2)
	marshalled, err := json.Marshal(ring)
	require.NoError(t, err)
	dump := fmt.Sprintf("%s %v %+v", marshalled, ring, ring) + f.log.String()
	for _, record := range ring.Keys {
		text := opened(t, 1, record)
		parsed, err := x509.ParsePKCS8PrivateKey(text)
		require.NoError(t, err)
		private, err := parsed.(*ecdsa.PrivateKey).Bytes()
		require.NoError(t, err)
		require.False(t, bytes.Contains(record.Sealed, private), "B11")
		key := sealKey(1)
		harness.SearchFor(t, dump, string(text), string(private), string(key[:]))
	}
	require.NotEqual(t, ring.Keys[0].Sealed[:12], ring.Keys[1].Sealed[:12], "a nonce of its own")
}

// TestSealAgain moves a ring from one seal key to the next.
func TestSealAgain(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.server()
	f.clock.Advance(30*24*time.Hour - 10*time.Minute)
	require.NoError(t, f.step(old))
	token, _ := f.login(old)
	before := f.ring()
	kids := f.published(old)
	require.Len(t, before.Keys, 2)

	both := f.server(func(c *signing.Config) { c.SealKeys = sealKeys(2, 1) })
	after := f.ring()
	require.Equal(t, before.Version+1, after.Version, "in one write")
	for i, record := range after.Keys {
		require.Equal(t, 2, record.SealKey)
		require.Equal(t, opened(t, 1, before.Keys[i]), opened(t, 2, record))
		record.SealKey, record.SealFingerprint, record.Sealed = before.Keys[i].SealKey, before.Keys[i].SealFingerprint, before.Keys[i].Sealed
		require.Equal(t, before.Keys[i], record, "nothing else changed")
	}
	require.Equal(t, kids, f.published(both))
	require.NoError(t, f.step(both))
	require.Equal(t, after, f.ring(), "and once")

	t.Run("then the old one can go", func(t *testing.T) {
		f := f.at(t)
		srv := f.server(func(c *signing.Config) { c.SealKeys = sealKeys(2) })
		require.Equal(t, kids, f.published(srv))
		_, err := srv.Verifier().Verify(t.Context(), token)
		require.NoError(t, err)
	})
	t.Run("a replica that lacks the new one keeps what it has", func(t *testing.T) {
		f := f.at(t)
		err := f.step(old)
		require.ErrorContains(t, err, "Config.SealKeys lacks seal key 2, which is in use and has the fingerprint "+after.Keys[0].SealFingerprint)
		require.ErrorContains(t, err, `it sealed the signing key "`+kids[0]+`"`)
		require.Equal(t, kids, f.published(old))
		fresh, _ := f.login(old)
		_, err = both.Verifier().Verify(t.Context(), fresh)
		require.NoError(t, err)
	})
	t.Run("and cannot start", func(t *testing.T) {
		f := f.at(t)
		srv, err := f.try()
		require.ErrorContains(t, err, "Config.SealKeys lacks seal key 2")
		require.Nil(t, srv)
		require.Equal(t, after, f.ring())
	})
}

// TestSealersOfBothOrders tests that a seal key that is listed last is not used
// yet, and that replicas in the middle of a rolling deploy do not seal each other's
// keys again.
func TestSealersOfBothOrders(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	with := func(versions ...int) *replica {
		t.Helper()
		return f.server(func(c *signing.Config) { c.SealKeys = sealKeys(versions...) })
	}
	with(1)
	behind := with(1, 2)
	require.Equal(t, 1, f.ring().Keys[0].SealKey, "B31 the first is used for new keys")
	ahead := with(2, 1)
	ring := f.ring()
	require.Equal(t, 2, ring.Keys[0].SealKey)
	for range 3 {
		require.NoError(t, f.step(behind))
		require.NoError(t, f.step(ahead))
		behind = with(1, 2)
	}
	require.Equal(t, ring, f.ring(), "B31 only towards a higher version")
	f.clock.Advance(period - lead)
	require.NoError(t, f.step(behind))
	require.Equal(t, 1, f.ring().Keys[1].SealKey)
	require.Equal(t, 2, f.ring().Keys[0].SealKey, "B31 a key whose end changes, too")
	require.NoError(t, f.step(ahead))
	require.Equal(t, 2, f.ring().Keys[1].SealKey)
	f.requireAccepted([]string{func() string { token, _ := f.login(behind); return token }()}, ahead)
}

// TestWithdrawnSealKey tests that the keys that a withdrawn seal key sealed are
// removed, and the others stay.
func TestWithdrawnSealKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	lost := func(c *signing.Config) { c.SealKeys, c.Withdrawn = sealKeys(2), []string{"seal key 1"} }
	old := f.server()
	before, first := f.login(old)
	f.clock.Advance(period - lead)
	require.NoError(t, f.step(f.server(func(c *signing.Config) { c.SealKeys = sealKeys(1) })))
	require.Len(t, f.ring().Keys, 2)
	srv := f.server(lost)
	require.Len(t, f.ring().Keys, 1)
	require.NotContains(t, f.published(srv), first)
	_, err := srv.Verifier().Verify(t.Context(), before)
	require.ErrorIs(t, err, bearer.ErrInvalid)
	f.requireAccepted([]string{func() string { token, _ := f.login(srv); return token }()}, f.server(lost))

	t.Run("one of two", func(t *testing.T) {
		f := newFleet(t)
		f.server()
		f.clock.Advance(period - lead)
		f.server(func(c *signing.Config) { c.SealKeys = sealKeys(1, 2) })
		ring := f.ring()
		both := f.server(func(c *signing.Config) { c.SealKeys = sealKeys(2, 1) })
		again := f.ring()
		require.Len(t, again.Keys, 2)
		again.Keys[0] = ring.Keys[0] // still sealed by the one that is lost
		require.NoError(t, f.keys.SetRing(t.Context(), again))
		srv := f.server(lost)
		require.Equal(t, f.published(both)[1:], f.published(srv))
		require.Len(t, f.ring().Keys, 1)
	})
	t.Run("B29 by a process with a wrong clock, too", func(t *testing.T) {
		f := newFleet(t)
		f.store.Upkeep = &storeClock{Upkeep: f.store.Upkeep, known: true, now: f.clock.Now}
		f.server()
		srv := f.server(lost, func(c *signing.Config) { c.Now = func() time.Time { return f.clock.Now().Add(-time.Hour) } })
		require.Len(t, f.published(srv), 1)
		f.kid(srv)
	})
}

// sealedOnce is a record of sealKey(1) for https://a.example: later releases must
// open what an earlier one sealed.
func sealedOnce(t testing.TB) store.SigningKey {
	t.Helper()
	sealed, err := base64.StdEncoding.DecodeString("2Ddf5I06KRajeY9U27gojjOTaKTsmTnX8lfQquVM7KA9nPVAC/qyYh" +
		"ZC+fKKD92qzxwIgKdKE49cAAGgSUKXRh1HmTzYyTgYfQoQEA==")
	require.NoError(t, err)
	return store.SigningKey{
		ID: "Is8VkHi_IUEeg_CU34MTIdbsB37Zekg2v1zejFFqIfQ", Algorithm: "EdDSA", Sealed: sealed, SealKey: 1, SealFingerprint: "44e37713fc12958d", Created: start, NotBefore: start,
	}
}

// FuzzSealed changes a record: a changed record does not open, makes no new ring
// and causes no panic.
func FuzzSealed(fz *testing.F) {
	f := newFleet(fz)
	good := sealedOnce(fz)
	fz.Add(good.ID, good.Algorithm, good.Sealed, good.SealKey)
	fz.Add("", "", []byte(nil), 0)
	fz.Add(good.ID, "ES256", good.Sealed, 1)
	fz.Add(good.ID, "HS256", good.Sealed[:11], 1)
	fz.Add("a", good.Algorithm, good.Sealed[:28], -1)
	fz.Fuzz(func(t *testing.T, id, algorithm string, sealed []byte, version int) {
		record := good
		record.ID, record.Algorithm, record.Sealed, record.SealKey = id, algorithm, slices.Clone(sealed), version
		f := f.at(t)
		f.store = memstore.New()
		require.NoError(t, f.store.SigningKeys.SetRing(t.Context(), store.Ring{Keys: []store.SigningKey{record}}))
		f.keys = f.store.SigningKeys
		same := id == good.ID && algorithm == good.Algorithm && bytes.Equal(sealed, good.Sealed) && version == good.SealKey
		srv, err := f.try()
		require.Equal(t, same, err == nil, "%v", err)
		require.Equal(t, same, srv != nil)
		require.Equal(t, int64(1), f.ring().Version)
	})
}
