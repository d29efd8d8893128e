package apikey

import (
	"hash"
	"strconv"
	"sync/atomic"
)

// Bounds that are named in comments and errors only.
const (
	MaxSecrets   = maxSecrets
	MaxUsageDays = maxUsageDays
)

// CountHashes counts the digests of generated secrets that s computes. Call it
// before s computes any.
func CountHashes(s *Service) *atomic.Int64 {
	var n atomic.Int64
	for _, digester := range s.hasher.digesters {
		fresh := digester.fresh
		digester.fresh = func() hash.Hash { return countedHash{fresh(), &n} }
	}
	return &n
}

// countedHash counts messages: each begins with a Reset.
type countedHash struct {
	hash.Hash
	n *atomic.Int64
}

func (c countedHash) Reset() {
	c.n.Add(1)
	c.Hash.Reset()
}

// GateOf returns the gate of s.
func GateOf(s *Service) SlowGate { return SlowGate{s.slow} }

// FillSlowGate takes all places to run a slow verification and to wait for
// one.
func FillSlowGate(s *Service) {
	for i := range slowKeys {
		s.slow.join("\x00" + strconv.Itoa(i))
	}
	for range slowRunning {
		s.slow.running <- struct{}{}
	}
}
