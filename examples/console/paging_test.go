package console_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestPagesOfAList goes forward in a list with the page's buttons, and back with the
// browser's.
func TestPagesOfAList(t *testing.T) {
	h := newHost(t)
	for i := range 101 {
		h.made("olga", "shop", fmt.Sprintf("key %03d", i), "project.list", apikey.Expiry{})
	}
	w := newWindow(t, h, "olga")
	for _, script := range []bool{true, false} {
		t.Run(map[bool]string{true: "with JavaScript", false: "without"}[script], func(t *testing.T) {
			w.setScript(script)
			w.open(h.page("/workspaces/shop/keys?sort=name"))
			at := func(key string) {
				t.Helper()
				require.Equal(t, key, eval[string](w, `document.querySelector("tbody tr:first-child .name").textContent`))
			}
			w.click(".pages a[rel=next]")
			at("key 050")
			w.click(".pages a:first-child")
			at("key 000")
			w.click(".pages a[rel=next]")
			w.click(".pages a[rel=next]")
			at("key 100")
			w.goHistory(-1)
			at("key 050")
			w.goHistory(-1)
			at("key 000")
		})
	}
}
