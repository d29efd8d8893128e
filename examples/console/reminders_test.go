package console_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
)

// TestReminders: an administrator chooses when reminders are sent, with the page's script and
// without it.
func TestReminders(t *testing.T) {
	for name, script := range map[string]bool{"with JavaScript": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.made("olga", "shop", "ci", "project.list", apikey.Expiry{At: noon.AddDate(0, 0, 40)})
			w := newWindow(t, h, "ada")
			w.setScript(script)
			save := func() {
				t.Helper()
				w.click(`main form button.main`)
				w.click(`main form button[value="save"]`)
				require.Contains(t, w.textOf(".note.good"), "saved")
			}
			w.open(h.page("/settings"))
			require.Contains(t, w.textOf("#f-reminders"), "Empty: 30 days, 7 days, 1 day")
			w.choose(`input[name="reminders"][value="off"]`)
			save()
			h.move(noon.AddDate(0, 0, 12))
			require.Empty(t, h.reminded())
			w.open(h.page("/")) // the earlier session has expired
			w.click(`button[value="ada"]`)
			w.open(h.page("/settings"))
			require.True(t, eval[bool](w, `document.querySelector('input[name="reminders"][value="off"]').checked`))

			w.choose(`input[name="reminders"][value="on"]`)
			w.fill("#f-remind_before", "soon")
			w.click("main form button.main")
			require.EqualValues(t, http.StatusUnprocessableEntity, w.lastStatus())
			w.choose(`#problems a[href="#f-remind_before"]`)
			require.Equal(t, "f-remind_before", eval[string](w, `document.activeElement.id`))
			w.fill("#f-remind_before", "29, 2h")
			w.click("main form button.main")
			require.Contains(t, w.text(), "a reminder is sent 29 days, 2 hours before a key expires")
			require.Empty(t, h.reminded(), "a preview changes nothing")
			w.click(`main form button[value="save"]`)
			require.Equal(t, []string{"ci 696h0m0s"}, h.reminded())
			require.Equal(t, "29, 2h", eval[string](w, `document.getElementById("f-remind_before").value`))

			if script {
				w.choose(`input[name="reminders"][value="off"]`)
				w.steps(chromedp.SendKeys("#f-remind_before", ", 1"))
				require.True(t, eval[bool](w, `document.querySelector('input[name="reminders"][value="on"]').checked`), "typing a time selects that reminders are sent")
			}
		})
	}
}
