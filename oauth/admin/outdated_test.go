package admin_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestOutdated(t *testing.T) {
	st := memstore.New()
	with := func(peppers ...apikey.Pepper) *rig {
		return newRig(t, func(s *setup) { s.store, s.keys.Peppers = st, peppers })
	}
	older, newer := harness.Pepper(), apikey.Pepper{Version: harness.Pepper().Version + 1, Key: make([]byte, 32)}
	newer.Key[0] = 1
	before := with(older)
	one, two := before.create("olga", "team-a", "one"), before.create("bert", "team-b", "two")
	r := with(newer, older)
	r.create("olga", "team-a", "fresh")
	var page struct {
		Outdated []struct {
			Key   key      `json:"key"`
			Names []string `json:"names"`
		} `json:"outdated"`
		Next *string `json:"next"`
	}
	left, cursor := []string{}, ""
	for more := true; more; more = page.Next != nil {
		r.do("ada", "GET", "/outdated?limit=1"+cursor, "").Wants(http.StatusOK).Into(&page)
		for _, o := range page.Outdated {
			require.Equal(t, []string{older.String()}, o.Names)
			left = append(left, o.Key.ID)
		}
		if page.Next != nil {
			cursor = "&cursor=" + *page.Next
		}
	}
	require.ElementsMatch(t, []string{one.Key.ID, two.Key.ID}, left)
	r.do("olga", "GET", "/outdated", "").problem(http.StatusForbidden, admin.CodeForbidden)
}
