package sqlstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// TestCheckStore races callers with a leaked key, and members, against changes that end
// their rights, with the whole service on each database.
func TestCheckStore(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		driver, source := e.space(t)
		tables, err := sqlstore.New(dial(t, driver, source), e.dialect, sqlstore.Config{})
		require.NoError(t, err)
		require.NoError(t, tables.Migrate(t.Context()))
		oauthtest.CheckStore(t, tables.Store(), 15)
	})
}
