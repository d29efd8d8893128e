package sqlstore_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store/sqlstore"
)

func TestNew(t *testing.T) {
	t.Run("the zero configuration is valid", func(t *testing.T) {
		_, err := sqlstore.New(&sql.DB{}, sqlstore.SQLite, sqlstore.Config{})
		require.NoError(t, err)
	})
	t.Run("all problems are reported at once", func(t *testing.T) {
		_, err := sqlstore.New(nil, 0, sqlstore.Config{
			Prefix: "Keys; DROP TABLE x",
			Listen: func(context.Context, string, func(), func()) error { return nil },
		})
		for _, problem := range []string{"db:", "dialect:", "Config.Prefix:", "Config.Listen:"} {
			require.ErrorContains(t, err, problem)
		}
	})
	for _, prefix := range []string{"1keys_", "_keys", "Keys_", "keys-", `keys"`, "a234567890123456789012345678901234"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			_, err := sqlstore.New(&sql.DB{}, sqlstore.SQLite, sqlstore.Config{Prefix: prefix})
			require.ErrorContains(t, err, "Config.Prefix")
		})
	}
	require.Equal(t, "PostgreSQL MySQL SQLite unknown", sqlstore.PostgreSQL.String()+" "+sqlstore.MySQL.String()+" "+sqlstore.SQLite.String()+" "+sqlstore.Dialect(9).String())
}

func TestMigrationsRefuses(t *testing.T) {
	_, err := sqlstore.Migrations(0, sqlstore.Config{Prefix: "Keys; DROP TABLE x"})
	require.ErrorContains(t, err, "dialect:")
	require.ErrorContains(t, err, "Config.Prefix:")
}
