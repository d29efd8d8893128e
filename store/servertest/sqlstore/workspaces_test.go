package sqlstore_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/sqlstore"
)

// A page of workspaces reads no more rows than its limit, even if most rows are of
// workspaces whose keys were all deleted: such a page is short, and has a next one.
func TestPagesOfWorkspacesAreBounded(t *testing.T) {
	ctx := context.Background()
	eachEngine(t, func(t *testing.T, e engine) {
		s := e.tables(t, e.connect(t), sqlstore.Config{}).Store()
		for i := range 7 {
			id := fmt.Sprint("team-", i)
			require.NoError(t, s.Keys.Create(ctx, key(id, "key of "+id), store.NoLimit, store.Change{}))
			if i < 5 {
				require.NoError(t, s.Keys.Delete(ctx, id, "key of "+id, 0, noon, store.Change{}))
			}
		}
		var got []string
		for after, pages := "", []string{"team-1", "team-3", "team-5", ""}; len(pages) > 0; pages = pages[1:] {
			page, err := s.Workspaces.List(ctx, after, 2)
			require.NoError(t, err)
			require.Equal(t, pages[0], page.Next)
			for _, w := range page.Workspaces {
				got = append(got, w.ID)
			}
			after = page.Next
		}
		require.Equal(t, []string{"team-5", "team-6"}, got)
	})
}
