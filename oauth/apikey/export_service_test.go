package apikey

import (
	"strconv"
)

// Bounds that are named in comments and errors only.
const (
	MaxSecrets   = maxSecrets
	MaxUsageDays = maxUsageDays
)

// Hashes is how many digests of generated secrets s computed.
func Hashes(s *Service) int64 { return s.hasher.Computed() }

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
