package redisstore_test

import (
	"testing"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
	"github.com/latchkey-go/latchkey/store/redisstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t) })
}

// Several processes share one store.
func TestReplicas(t *testing.T) {
	storetest.RunReplicas(t, func(t *testing.T, n int) []store.Store {
		prefix := newPrefix(t, sharedClient(t))
		stores := make([]store.Store, n)
		for i := range stores {
			stores[i] = newDriver(t, sharedClient(t), redisstore.Config{Prefix: prefix}).Store()
		}
		return stores
	})
}

// Records are in another driver; Limiter and Usage are from Redis.
func TestLimiterAndUsageBesideOtherRecords(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, shared := memstore.New(), newStore(t)
		s.Usage, s.Limiter, s.SigningKeys = shared.Usage, shared.Limiter, shared.SigningKeys
		s.Watch = nil // it belongs to the other driver
		return s
	})
}
