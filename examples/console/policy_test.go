package console_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// otherOrigin is another origin, which records the requests that it gets.
type otherOrigin struct {
	url   string
	mu    sync.Mutex
	asked []string
}

func newOtherOrigin(t *testing.T) *otherOrigin {
	t.Helper()
	e := &otherOrigin{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.asked = append(e.asked, r.URL.Path)
		e.mu.Unlock()
		switch r.URL.Path {
		case "/x.js":
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = io.WriteString(w, "window.ran = true")
		case "/form":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, `<link rel="icon" href="data:,">`) // or the browser asks for one, at any time
		case "/x.css":
			w.Header().Set("Content-Type", "text/css")
		case "/x.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = io.WriteString(w, `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>`)
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	}))
	t.Cleanup(web.Close)
	e.url = web.URL
	return e
}

func (e *otherOrigin) wasAsked(path string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, asked := range e.asked {
		if asked == path {
			return true
		}
	}
	return false
}

func (e *otherOrigin) clear() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = nil
}

// recordViolations is a script that records the violations that the browser reports. It runs
// before the page is parsed.
const recordViolations = `window.violations = [];
	document.addEventListener("securitypolicyviolation", (e) => { window.violations.push(e.disposition + " " + e.effectiveDirective); });`

// probe is something that injected markup or an injected script must not be able to do.
type probe struct {
	name      string
	directive string   // the directive that the browser reports as violated
	loosen    []string // replacements in the policy that let it happen
	markup    string   // markup that is put into the page
	script    string   // a script that then runs on the page
	happened  string   // an expression that is true if it happened
	asks      string   // or the path of the request that another origin gets
}

func probes(other string) []probe {
	const trusted = "; require-trusted-types-for 'script'; trusted-types 'none'"
	inline := []string{"script-src 'self'", "script-src 'self' 'unsafe-inline'"}
	restyled := []string{"style-src 'self'", "style-src 'self' 'unsafe-inline'"}
	foreign := func(directive string) []string {
		return []string{directive + " 'self'", directive + " 'self' " + other}
	}
	further := func(directive string) []string {
		return []string{"default-src 'none'", "default-src 'none'; " + directive}
	}
	return []probe{
		{"an inline script", "script-src-elem", inline, `<script>window.ran = true</script>`, "", "window.ran === true", ""},
		{"an inline handler", "script-src-attr", inline, `<details open ontoggle="window.ran = true"><summary>x</summary></details>`, "", "window.ran === true", ""},
		{"an address that is a script", "script-src-elem", append([]string{trusted, ""}, inline...), `<a id="probe" href="javascript:void(window.ran = true)">x</a>`, `document.getElementById("probe").click()`, "window.ran === true", ""},
		{"a foreign script", "script-src-elem", foreign("script-src"), `<script src="` + other + `/x.js"></script>`, "", "window.ran === true", "/x.js"},
		{"an inline style", "style-src-elem", restyled, `<style>main { letter-spacing: 7px }</style>`, "", `getComputedStyle(document.querySelector("main")).letterSpacing === "7px"`, ""},
		{"a style attribute", "style-src-attr", restyled, `<p id="probe" style="letter-spacing: 7px">x</p>`, "", `getComputedStyle(document.getElementById("probe")).letterSpacing === "7px"`, ""},
		{"a foreign stylesheet", "style-src-elem", foreign("style-src"), `<link rel="stylesheet" href="` + other + `/x.css">`, "", "", "/x.css"},
		{"a foreign image", "img-src", foreign("img-src"), `<img src="` + other + `/x.svg" alt="">`, "", "", "/x.svg"},
		{"a request of a script's", "connect-src", further("connect-src 'self'"), "", `fetch("/api/login").then(() => { window.ran = true; }, () => {})`, "window.ran === true", ""},
		{"a foreign request of a script's", "connect-src", further("connect-src " + other), "", `fetch("` + other + `/api").then(() => { window.ran = true; }, () => {})`, "window.ran === true", "/api"},
		{"a frame", "frame-src", further("frame-src " + other), `<iframe src="` + other + `/frame"></iframe>`, "", "", "/frame"},
		{"a plug-in", "object-src", further("object-src " + other + "; frame-src " + other), `<object data="` + other + `/object"></object>`, "", "", "/object"},
		{"a worker", "require-trusted-types-for", []string{trusted, ""}, "", `try { window.ran = !!new Worker("/console/console.js"); } catch {}`, "window.ran === true", ""},
		{"another base", "base-uri", []string{"; base-uri 'none'", ""}, `<base href="` + other + `/">`, "", `document.baseURI === "` + other + `/"`, ""},
		{"a form that leads elsewhere", "form-action", foreign("form-action"), `<form id="probe" method="post" action="` + other + `/form"></form>`, `document.getElementById("probe").submit()`, `location.pathname === "/form" && document.readyState === "complete"`, "/form"},
		{"text that becomes markup", "require-trusted-types-for", []string{trusted, ""}, "", `try { document.body.innerHTML = "<b id=probe>x</b>"; } catch {}`, `document.getElementById("probe") !== null`, ""},
		{"a policy that says which text is markup", "trusted-types", []string{"; trusted-types 'none'", ""}, "", `try { window.ran = !!trustedTypes.createPolicy("own", {}); } catch {}`, "window.ran === true", ""},
	}
}

// TestContentSecurityPolicy checks that the browser stops each probe and reports the directive
// that forbids it. Without that directive the probe succeeds, so nothing else stops it.
func TestContentSecurityPolicy(t *testing.T) {
	s, other := &tamperingProxy{}, newOtherOrigin(t)
	h := behindTampering(t, newHost(t), s)
	s.set(tampering{})
	w := newWindow(t, h, "olga")
	w.steps(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: recordViolations})
		return chromedp.Void{}, err
	})
	for _, p := range probes(other.url) {
		run := func() {
			other.clear()
			w.open(h.page("/workspaces/shop/keys"))
			if p.script != "" {
				eval[bool](w, p.script+"; true")
			}
		}
		happened := func() bool {
			return (p.happened == "" || w.holds(p.happened)) && (p.asks == "" || other.wasAsked(p.asks))
		}
		t.Run("B16 "+p.name+" is stopped by "+p.directive, func(t *testing.T) {
			s.set(tampering{markup: p.markup})
			run()
			require.Eventually(t, func() bool { return w.holds("window.violations.length > 0") }, stepTimeout, stepTimeout/1000)
			found := eval[[]string](w, "[...new Set(window.violations)]")
			require.Equal(t, []string{"enforce " + p.directive}, found)
			require.False(t, p.happened != "" && eval[bool](w, p.happened))
			require.False(t, other.wasAsked(p.asks), "another origin was asked")
		})
		t.Run("nothing else stops "+p.name, func(t *testing.T) {
			s.set(tampering{markup: p.markup, loosen: p.loosen})
			run()
			require.Eventually(t, happened, stepTimeout, stepTimeout/1000)
		})
	}

	frame := `(() => { try { return frames[0].document.querySelector("main") !== null; } catch { return false; } })()`
	for _, test := range []struct {
		name    string
		without []string
		loosen  []string
		says    string
	}{
		{"frame-ancestors", []string{"X-Frame-Options"}, nil, "frame-ancestors"},
		{"X-Frame-Options", nil, []string{"; frame-ancestors 'none'", ""}, "X-Frame-Options"},
	} {
		t.Run("B16 a page in a frame is stopped by "+test.name, func(t *testing.T) {
			s.set(tampering{without: test.without, loosen: test.loosen})
			w.clear()
			w.open(h.url + "/framing")
			require.Eventually(t, func() bool { return strings.Contains(strings.Join(w.recorded(), "\n"), test.says) }, stepTimeout, stepTimeout/1000)
			require.False(t, eval[bool](w, frame))
		})
	}
	t.Run("nothing else stops a page in a frame", func(t *testing.T) {
		s.set(tampering{without: []string{"X-Frame-Options"}, loosen: []string{"; frame-ancestors 'none'", ""}})
		w.open(h.url + "/framing")
		require.Eventually(t, func() bool { return w.holds(frame) }, stepTimeout, stepTimeout/1000)
	})
	w.clear() // these reports were expected
}

// holds reports whether an expression is true. While another page loads, it returns false.
func (w *window) holds(expression string) bool {
	ctx, end := context.WithTimeout(w.ctx, stepTimeout)
	defer end()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	return err == nil && found
}

// recorded returns what the browser has reported so far.
func (w *window) recorded() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.complaints...)
}

// clear drops what the browser has reported, and its requests to other hosts.
func (w *window) clear() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints, w.foreign = nil, nil
}
