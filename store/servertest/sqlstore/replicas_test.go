package sqlstore_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
	"github.com/latchkey-go/latchkey/store/storetest"
)

// TestReplicas opens several pools on one set of tables, which all of them create at the
// same time.
func TestReplicas(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		driver, source := e.space(t)
		keeper := dial(t, driver, source)
		var replicas []store.Store
		storetest.RunReplicas(t, func(sub *testing.T, n int) []store.Store {
			if replicas == nil {
				tables := make([]*sqlstore.Database, n)
				errs := make([]error, n)
				var all sync.WaitGroup
				for i := range n {
					var err error
					tables[i], err = sqlstore.New(dial(t, driver, source), e.dialect, sqlstore.Config{})
					require.NoError(sub, err)
					all.Go(func() { errs[i] = tables[i].Migrate(t.Context()) })
				}
				all.Wait()
				for i := range n {
					require.NoError(sub, errs[i])
					replicas = append(replicas, tables[i].Store())
				}
			}
			wipe(sub, keeper)
			return replicas
		})
	})
}
