package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

// TestEveryWorkspaceCanBeOpened types ids that a browser may misread in an address, and
// uses the pages of these workspaces.
func TestEveryWorkspaceCanBeOpened(t *testing.T) {
	h := newHost(t)
	w := newWindow(t, h, "ada")
	for _, id := range []string{".", "..", "/", "~..", "a/b", "%2f", "%2e%2e", "a?b=c#d", "a b", `a\b`, "http://x", strings.Repeat("/", 255)} {
		t.Run(id[:min(20, len(id))], func(t *testing.T) {
			shows := func() {
				t.Helper()
				require.EqualValues(t, http.StatusOK, w.lastStatus())
				require.True(t, eval[bool](w, `[...document.querySelectorAll("bdi")].some((b) => b.textContent === `+quoted(id)+`)`), id)
			}
			open := func(path string) {
				t.Helper()
				w.open(h.page("%s", path))
				w.fill("#f-workspace", id)
				w.click("main form button")
				shows()
			}
			open("/")
			w.click(".empty .button.main")
			shows()
			w.fill("#f-name", "ci")
			w.choose(`input[value="project.list"]`)
			w.click("main form button.main")
			require.EqualValues(t, http.StatusCreated, w.lastStatus())
			require.Equal(t, http.StatusOK, h.logIn(w.textOf("#key-id"), w.textOf("#secret")))
			w.click("main .actions .button")
			shows()
			w.click(`.tabs a[href$="/keys"]`)
			shows()
			require.Equal(t, "ci", w.textOf("tbody .name"))
			w.click(`.tabs a[href$="/events"]`)
			shows()
			open("/settings/workspaces")
			w.click(`a[href$="/suspend"]`)
			w.click("main form button.risky")
			require.Contains(t, w.textOf(".note.good"), "suspended")
			workspace, _, err := h.srv.APIKeys().Workspace(t.Context(), people["ada"].Actor, id)
			require.NoError(t, err)
			require.True(t, workspace.Suspended)
			page, err := h.srv.APIKeys().List(t.Context(), people["ada"].Actor, store.KeyQuery{Workspace: id})
			require.NoError(t, err)
			require.Len(t, page.Keys, 1)
		})
	}
}
