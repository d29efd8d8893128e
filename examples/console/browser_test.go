package console_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// stepTimeout bounds one step. It is long, because the machine may be busy.
const stepTimeout = time.Minute

// chromium is started once. Every test has its own window and cookies.
var chromium struct {
	once sync.Once
	ctx  context.Context //nolint:containedctx // chromedp keeps the browser in it
	end  func()
	err  error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if chromium.end != nil {
		chromium.end()
	}
	os.Exit(status)
}

func start() {
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if program, chromium.err = exec.LookPath(name); chromium.err == nil {
			break
		}
	}
	if chromium.err != nil {
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", true),
	)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endBrowser := chromedp.NewContext(allocator)
	chromium.ctx = ctx
	chromium.end = func() {
		_ = chromedp.Cancel(ctx)
		endBrowser()
		endAllocator()
	}
	chromium.err = chromedp.Do(ctx)
}

// window is a browser window of one person. At the end of the test it fails if the browser
// reported an error, or if a page sent a request to another host.
type window struct {
	t    *testing.T
	host *host
	ctx  context.Context //nolint:containedctx // chromedp keeps the window in it
	own  string          // the host's name and port

	mu         sync.Mutex
	complaints []string
	foreign    []string
	status     int64 // of the last page
}

func newWindow(t *testing.T, h *host, person string) *window {
	t.Helper()
	chromium.once.Do(start)
	if chromium.err != nil {
		if os.Getenv("LATCHKEY_REQUIRE_BROWSER") != "" {
			t.Fatalf("install Chromium or Chrome: %v", chromium.err)
		}
		t.Skipf("there is no Chromium or Chrome: %v", chromium.err)
	}
	w := &window{t: t, host: h, own: strings.TrimPrefix(h.url, "http://")}
	ctx, end := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(w.record))
	t.Cleanup(end)
	w.ctx = ctx
	// The first step opens the window. Its context has no timeout, because the end of that
	// context would close the window.
	require.NoError(t, chromedp.Do(ctx, func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		return chromedp.Void{}, err
	}))
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		_, err := chromedp.CallBrowser(ctx, browser.SetPermission, browser.SetPermissionParams{
			Permission: &browser.PermissionDescriptor{Name: name}, Setting: browser.PermissionSettingGranted,
			Origin: h.url, BrowserContextID: chromedp.FromContext(ctx).BrowserContextID,
		})
		require.NoError(t, err)
	}
	w.setView("light", 1280)
	w.open(h.page("/"))
	w.click(`button[value="` + person + `"]`)
	t.Cleanup(w.checkRecorded)
	return w
}

// newWindowIn returns another tab of a person's browser.
func newWindowIn(t *testing.T, w *window) *window {
	t.Helper()
	tab := &window{t: t, host: w.host, own: w.own}
	ctx, end := chromedp.NewContext(w.ctx, chromedp.WithListener(tab.record))
	t.Cleanup(end)
	tab.ctx = ctx
	require.NoError(t, chromedp.Do(ctx))
	tab.setView("light", 1280)
	t.Cleanup(tab.checkRecorded)
	return tab
}

// record records what the browser reports about the pages.
func (w *window) record(event any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		w.complaints = append(w.complaints, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		w.complaints = append(w.complaints, fmt.Sprint("console.", e.Type))
	case *log.EventEntryAdded:
		// The status of a refusal is not an error of the page.
		if e.Entry.Source != log.EntrySourceNetwork || !strings.Contains(e.Entry.Text, "Failed to load resource") {
			w.complaints = append(w.complaints, string(e.Entry.Source)+": "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		// The browser uses data: URLs for its own controls.
		if to, err := url.Parse(e.Request.URL); err != nil || to.Host != w.own && to.Scheme != "data" {
			w.foreign = append(w.foreign, e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			w.status = e.Response.Status
		}
	}
}

// checkRecorded fails the test if the browser has reported an error, or if a page has sent a
// request to another origin.
func (w *window) checkRecorded() {
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(w.t, w.complaints, "the browser reported errors")
	require.Empty(w.t, w.foreign, "a page sent requests to another origin")
}

// steps runs actions one after the other.
func (w *window) steps(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	ctx, end := context.WithTimeout(w.ctx, stepTimeout)
	defer end()
	require.NoError(w.t, chromedp.Do(ctx, actions...))
}

// ask returns the result of an action.
func ask[T any](w *window, action chromedp.Action[T]) T {
	w.t.Helper()
	ctx, end := context.WithTimeout(w.ctx, stepTimeout)
	defer end()
	found, err := chromedp.Run(ctx, action)
	require.NoError(w.t, err)
	return found
}

// navigate runs actions that lead to another page, and waits for that page. chromedp's own
// wait does not work here: the pages' script changes their entries in the history, and
// chromedp takes that for another page.
func (w *window) navigate(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	eval[bool](w, "window.left = true")
	w.steps(actions...)
	require.Eventually(w.t, func() bool { return w.holds(`window.left !== true && document.readyState === "complete"`) }, stepTimeout, stepTimeout/2000)
}

func (w *window) open(address string) { w.t.Helper(); w.steps(chromedp.Navigate(address)) }

// click follows a link or sends a form.
func (w *window) click(selector string) {
	w.t.Helper()
	w.navigate(chromedp.Click(selector))
}

// choose clicks an element that does not lead to another page.
func (w *window) choose(selector string) {
	w.t.Helper()
	w.steps(chromedp.Click(selector))
}

// fill replaces the text of a field.
func (w *window) fill(selector, text string) {
	w.t.Helper()
	w.steps(chromedp.SetValue(selector, text))
}

func (w *window) text() string { w.t.Helper(); return w.textOf("body") }

func (w *window) textOf(selector string) string {
	w.t.Helper()
	return ask(w, chromedp.Text(selector))
}

func (w *window) lastStatus() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// eval runs a script from outside of the page, to which the page's policy does not apply.
func eval[T any](w *window, script string) T {
	w.t.Helper()
	return ask(w, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise, func(p *runtime.EvaluateParams) { p.UserGesture = new(true) }))
}

// setView sets the color scheme and the width of the window.
func (w *window) setView(scheme string, width int64) {
	w.t.Helper()
	w.steps(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		if err == nil {
			_, err = cdp.Call(ctx, target, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
				Width: width, Height: 844, DeviceScaleFactor: 1, Mobile: width < 600,
			})
		}
		return chromedp.Void{}, err
	})
}
