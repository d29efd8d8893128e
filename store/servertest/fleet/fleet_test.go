package fleet_test

import "testing"

// TestFleet tests three processes that share a store.
func TestFleet(t *testing.T) {
	for _, on := range []struct {
		system
		rounds, all int // how many keys are disabled: normally, and with LATCHKEY_SOAK=1
		shared      bool
		ring        bool
	}{
		{system: onRedis, rounds: 15, all: 500, shared: true, ring: true},
		{system: onPostgres, rounds: 15, all: 500, shared: true, ring: true},
		{system: onBoth, rounds: 10, all: 500, shared: true},
		{system: onMaria, rounds: 5, all: 100},
		{system: onGalera, rounds: 5, all: 100, shared: true},
		{system: onSQLite, rounds: 5, all: 100},
	} {
		t.Run(on.name, func(t *testing.T) {
			s := on.spec(t)
			s.LoginsPerHour, s.RotateEvery, s.TokenLifetime = perHour, rotateEvery(), tokenLifetime()
			specs := []spec{s, s, s}
			for i, at := range s.Others {
				specs[i+1].Keys = at
			}
			fleet := launch(t, specs...)
			t.Run("B07 disabled in one process", func(t *testing.T) {
				rounds := on.rounds
				if soak() {
					rounds = on.all
				}
				measureRevocation(t, fleet, rounds)
			})
			if on.shared {
				once(t, fleet)
			}
			if on.ring {
				t.Run("three rotations of the signing keys", func(t *testing.T) { rotations(t, fleet) })
			}
		})
	}
}
