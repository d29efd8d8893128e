package apikey

import (
	"strconv"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

// Bounds that are not exported.
const (
	MaxSecrets   = maxSecrets
	MaxUsageDays = maxUsageDays
	MaxUnwritten = maxUnwritten
	MaxRefusals  = maxRefusals
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

// Unwritten is what logins and refusals leave until it is flushed.
type Unwritten struct{ u *unwritten }

func NewUnwritten() Unwritten { return Unwritten{newUnwritten(true)} }

func (u Unwritten) Login(key string, at time.Time) { u.u.login(&store.Key{ID: key}, "secret", at) }

func (u Unwritten) Refusal(key string, at time.Time) {
	u.u.refusal(&Proof{now: at, found: store.Found{Key: store.Key{ID: key}}}, "disabled")
}

// Of returns the last use and the logins of a key on a day.
func (u Unwritten) Of(key string, day time.Time) (time.Time, int64) {
	return u.u.uses[usedCredential{key, "secret"}], u.u.counts[keyDay{key, day}].Logins
}

// Kept is how much is kept in memory. names are those of events of this hour.
func (u Unwritten) Kept() (uses, counts, events, names int) {
	return len(u.u.uses), len(u.u.counts), len(u.u.events), len(u.u.logged.seen)
}

// Flush writes everything, and calls meanwhile before it is known whether that failed.
func (u Unwritten) Flush(failed bool, meanwhile func()) {
	uses, counts, events := u.u.take()
	meanwhile()
	if failed {
		u.u.putBack(uses, counts, events)
	}
}

// SeenSecrets returns how many secrets the service has seen in direct use.
func SeenSecrets(s *Service) int {
	n := 0
	for range s.unwritten.seen.bySum.Range {
		n++
	}
	if int64(n) != s.unwritten.seen.size.Load() {
		panic("the number of entries is wrong")
	}
	return n
}
