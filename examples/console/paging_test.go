package console_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestPagesOfAList goes through a list and back, by the page's own buttons.
func TestPagesOfAList(t *testing.T) {
	h := newHost(t)
	for i := range 101 {
		h.made("olga", "shop", fmt.Sprintf("key %03d", i), "project.list", apikey.Expiry{})
	}
	w := newWindow(t, h, "olga")
	const (
		previous, next = ".pages a[rel=prev]", ".pages a[rel=next]"
		first          = ".pages a:first-child"
		firstRow       = "tbody tr:first-child .name"
	)
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "with JavaScript", false: "without"}[script], func(t *testing.T) {
			w.script(script)
			w.open(h.page("/workspaces/shop/keys?sort=name"))
			for _, step := range []struct{ click, row, says string }{
				{next, "key 050", "Page 2"}, {next, "key 100", "Page 3"}, {previous, "key 050", "Page 2"}, {previous, "key 000", "Page 1"},
				{next, "key 050", "Page 2"}, {next, "key 100", "Page 3"}, {first, "key 000", "Page 1"},
			} {
				w.click(step.click)
				require.Equal(t, step.row, w.textOf(firstRow))
				require.Contains(t, w.textOf(".pages"), step.says)
			}
		})
	}
}
