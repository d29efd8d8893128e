package console_test

import (
	"bytes"
	"context"
	"errors"
	"html"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin/console"
	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" onload="alert(1)"><script>alert(1)</script><circle r="4" style="fill:red"/></svg>`

func branded(b console.Brand) func(*store.Store, *apikey.Config, *console.Config) {
	return func(_ *store.Store, _ *apikey.Config, c *console.Config) { c.Brand = b }
}

func pngOf(t *testing.T) []byte {
	var file bytes.Buffer
	require.NoError(t, png.Encode(&file, image.NewGray(image.Rect(0, 0, 8, 8))))
	return file.Bytes()
}

func TestBrandIsChecked(t *testing.T) {
	keys, err := apikey.New(memstore.New(), apikey.Config{Permissions: newQuietRig(t).keys.Catalog()})
	require.NoError(t, err)
	for _, tc := range []struct {
		name  string
		brand console.Brand
		says  string // empty: it is accepted
	}{
		{"nothing", console.Brand{}, ""},
		{"everything", console.Brand{Name: "Müller & Söhne", Logo: pngOf(t), Accent: "#7a1fa2", AccentDark: "#d7a3ea", Home: "https://app.example.com/start?x=1"}, ""},
		{"an SVG", console.Brand{Logo: []byte("<?xml version=\"1.0\"?>\n" + svg)}, ""},
		{"a WebP", console.Brand{Logo: []byte("RIFF\x00\x00\x00\x00WEBPVP8 ....")}, ""},
		{"a path of this host", console.Brand{Home: "/app"}, ""},
		{"capitals", console.Brand{Accent: "#7A1FA2"}, ""},
		{"the longest name", console.Brand{Name: strings.Repeat("ü", 64)}, ""},

		{"a long name", console.Brand{Name: strings.Repeat("ü", 65)}, "Config.Brand.Name must have at most 64 printable characters"},
		{"a name with a line break", console.Brand{Name: "a\nb"}, "Config.Brand.Name"},
		{"a name that changes the writing direction", console.Brand{Name: "a\u202eb"}, "Config.Brand.Name"},
		{"a GIF", console.Brand{Logo: []byte("GIF89a......")}, "Config.Brand.Logo must be a PNG, WebP or SVG image of at most 262144 bytes"},
		{"a page", console.Brand{Logo: []byte("<!doctype html><script>alert(1)</script>")}, "Config.Brand.Logo"},
		{"a large logo", console.Brand{Logo: append(pngOf(t), make([]byte, 256<<10)...)}, "Config.Brand.Logo"},
		{"a script as the link", console.Brand{Home: "javascript:alert(1)"}, "Config.Brand.Home must be an http or https URL"},
		{"data as the link", console.Brand{Home: "data:text/html,x"}, "Config.Brand.Home"},
		{"another scheme", console.Brand{Home: "ftp://app.example.com/x"}, "Config.Brand.Home"},
		{"no host", console.Brand{Home: "https:///x"}, "Config.Brand.Home"},
		{"another host without a scheme", console.Brand{Home: "//evil.example/"}, "Config.Brand.Home"},
		{"a relative path", console.Brand{Home: "app"}, "Config.Brand.Home"},
		{"a broken URL", console.Brand{Home: "https://a b/%"}, "Config.Brand.Home"},
		{"a name of a colour", console.Brand{Accent: "red"}, `Config.Brand.Accent is "red", whose contrast with #f6f7f9, a colour of the console, is NaN; set a colour in the form #rrggbb`},
		{"a short colour", console.Brand{AccentDark: "#fff"}, `Config.Brand.AccentDark is "#fff"`},
		{"CSS in a colour", console.Brand{Accent: "#2456c9;}"}, "Config.Brand.Accent is"},
		{"a sign in a colour", console.Brand{Accent: "#+456c9"}, "Config.Brand.Accent is"},
		{"too light", console.Brand{Accent: "#ffcc00"}, `Config.Brand.Accent is "#ffcc00", whose contrast with #ffffff, a colour of the console, is 1.51; set a colour in the form #rrggbb whose contrast is at least 4.5`},
		{"too dark for the dark scheme", console.Brand{AccentDark: "#2456c9"}, `Config.Brand.AccentDark is "#2456c9", whose contrast with #12151a, a colour of the console, is 2.83`},
		{"a little too light", console.Brand{Accent: "#767676"}, "with #f6f7f9, a colour of the console, is 4.24"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := console.New(keys, console.Config{Authorize: authorize, Key: formKey, Brand: tc.brand})
			if tc.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.says)
		})
	}
}

// TestBrandIsShown tests the product's name, logo, colours and link on every page.
func TestBrandIsShown(t *testing.T) {
	r := newRig(t, branded(console.Brand{Name: `<b>Müller</b> & Söhne`, Logo: []byte(svg), Accent: "#7a1fa2", Home: "https://app.example.com/start?x=1&y=2"}))
	key, _ := r.made("team-a", "ci", "project.list")
	get, _ := places(key)
	version := ""
	for _, path := range get {
		got := r.get("ada", path)
		if got.StatusCode == http.StatusSeeOther {
			got = r.get("ada", got.redirectTarget())
		}
		if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") {
			continue
		}
		text := html.UnescapeString(got.Body)
		require.NotContains(t, got.Body, "<b>Müller", "B16")
		require.Contains(t, text, " · <b>Müller</b> & Söhne</title>")
		require.Contains(t, text, `alt="" height="24"> <b>Müller</b> & Söhne</a>`)
		require.Contains(t, text, `<a class="home" href="https://app.example.com/start?x=1&y=2">Back to <b>Müller</b> & Söhne</a>`)
		version = regexp.MustCompile(`icon\?v=([0-9a-f]{16})`).FindStringSubmatch(got.Body)[1]
	}
	style := r.get("nobody", "/console.css?v="+version)
	require.Contains(t, style.Body, "@media screen { :root { --accent: #7a1fa2; } }")
	require.Contains(t, style.Body, "@media screen and (prefers-color-scheme: dark) { :root { --accent: #86aaff; } }", "the console's own, which goes with the dark scheme")

	icon := r.get("nobody", "/icon?v="+version)
	require.Equal(t, svg, icon.Body)
	require.Equal(t, "image/svg+xml", icon.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", icon.Header.Get("X-Content-Type-Options"))
	policy := icon.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'", "B16")
	require.Contains(t, policy, "sandbox", "B16")
	require.NotContains(t, policy, "script", "B16 no script runs in it")
	require.Contains(t, icon.Header.Get("Cache-Control"), "immutable")
	require.Equal(t, "no-store", r.get("nobody", "/icon?v=other").Header.Get("Cache-Control"))

	plain := newRig(t)
	body := plain.get("olga", "/workspaces/team-a/keys").Body
	require.Contains(t, body, "· API keys</title>")
	require.NotContains(t, body, `class="home"`)
	require.NotContains(t, body, "?v="+version, "browsers load what changed")
	require.Contains(t, plain.get("nobody", "/console.css").Body, "@media screen { :root { --accent: #2456c9; } }")
	require.Contains(t, plain.get("nobody", "/icon").Body, "<svg")
	named := newRig(t, branded(console.Brand{Home: "/app"}))
	require.Contains(t, named.get("olga", "/workspaces/team-a/keys").Body, `href="/app">Back</a>`)
	require.Equal(t, "image/png", newRig(t, branded(console.Brand{Logo: pngOf(t)})).get("nobody", "/icon").Header.Get("Content-Type"))
}

func TestTitlesOfWorkspaces(t *testing.T) {
	var asked [][]string
	var answer func(ctx context.Context, ids []string) (map[string]string, error)
	r := newRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
		c.Titles = func(ctx context.Context, ids []string) (map[string]string, error) {
			asked = append(asked, slices.Clone(ids))
			return answer(ctx, ids)
		}
		c.Timeout = 10 * time.Second
	})
	r.made("team-a", "ci", "project.list")
	r.made("team-b", "other", "project.list")
	const list = "/workspaces/team-a/keys"
	titles := map[string]string{"team-a": "Research", "team-b": "Sales"}
	answer = func(context.Context, []string) (map[string]string, error) { return titles, nil }
	t.Run("pages show titles with ids, and ask once", func(t *testing.T) {
		for path, texts := range map[string][]string{
			list:                            {`<b><bdi>Research</bdi> <span class="id">team-a</span></b>`, "· Research · API keys</title>"},
			"/":                             {`keys"><bdi>Research</bdi> <span class="id">team-a</span></a>`, "<bdi>Sales</bdi>"},
			"/settings/keys":                {"<bdi>Research</bdi>", "<bdi>Sales</bdi>"},
			"/settings/events":              {`in <bdi>Research</bdi> <span class="id">team-a</span>`},
			"/settings/workspaces":          {"<bdi>Research</bdi>", "<bdi>Sales</bdi>"},
			"/workspaces/team-a/events":     {"<bdi>Research</bdi>"},
			"/workspaces/team-a/keys/new":   {"<bdi>Research</bdi>"},
			"/workspaces/team-a/events.csv": {},
		} {
			asked = nil
			got := r.get("ada", path)
			if got.StatusCode == http.StatusSeeOther {
				got = r.get("ada", got.redirectTarget())
			}
			for _, text := range texts {
				require.Contains(t, got.Body, text, path)
			}
			require.LessOrEqual(t, len(asked), 1, path)
			for _, ids := range asked {
				require.Equal(t, slices.Compact(slices.Sorted(slices.Values(ids))), slices.Sorted(slices.Values(ids)), "each id once")
			}
		}
	})
	for name, one := range map[string]func(ctx context.Context, ids []string) (map[string]string, error){
		"an error":  func(context.Context, []string) (map[string]string, error) { return titles, errors.New("down") },
		"no titles": func(context.Context, []string) (map[string]string, error) { return nil, nil },
		"an empty title": func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"team-a": ""}, nil
		},
		"another's title": func(context.Context, []string) (map[string]string, error) { return map[string]string{"x": "y"}, nil },
		"the id as its title": func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"team-a": "team-a"}, nil
		},
	} {
		t.Run(name+" leaves the id", func(t *testing.T) {
			answer = one
			got := r.get("ada", list)
			require.Equal(t, http.StatusOK, got.StatusCode)
			require.Contains(t, got.Body, "<b><bdi>team-a</bdi></b>")
		})
	}
	t.Run("B16 titles are text, and bounded", func(t *testing.T) {
		for _, title := range append(slices.Clone(hostile), strings.Repeat("ü", 5000), "a\r\nb") {
			answer = func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"team-a": title}, nil
			}
			got := r.get("ada", list)
			for _, markup := range []string{"<script>", "<img src=x", `"><i>`, `' onfocus`} {
				require.NotContains(t, got.Body, markup)
			}
			require.Less(t, strings.Count(got.Body, "ü"), 2*101)
		}
	})
}

// TestSlowTitles tests that a slow function of the host's costs a page its titles
// only.
func TestSlowTitles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newQuietRig(t, func(_ *store.Store, _ *apikey.Config, c *console.Config) {
			c.Titles = func(ctx context.Context, _ []string) (map[string]string, error) {
				<-ctx.Done()
				return map[string]string{"team-a": "late"}, ctx.Err()
			}
		})
		begin := time.Now()
		got := r.serve("olga", http.MethodGet, "/workspaces/team-a/keys", url.Values{})
		require.Equal(t, 15*time.Second, time.Since(begin), "a quarter of Config.Timeout, by the bubble's clock")
		require.Equal(t, http.StatusOK, got.StatusCode)
		require.Contains(t, got.Body, "<b><bdi>team-a</bdi></b>")
		require.Contains(t, r.log.String(), "the titles of workspaces could not be read")
	})
}

// TestContrastWithTheStylesheet tests that the contrast of the host's colours is measured
// with the colours that the stylesheet has, and that its own accents are the defaults.
func TestContrastWithTheStylesheet(t *testing.T) {
	r := newRig(t)
	style, err := os.ReadFile("assets/console.css")
	require.NoError(t, err)
	colours := func(name string) []string {
		var values []string
		for _, match := range regexp.MustCompile(`--`+name+`: (#[0-9a-f]{6});`).FindAllStringSubmatch(string(style), -1) {
			values = append(values, match[1])
		}
		require.Len(t, values, 2, "%s: light and dark", name)
		return values
	}
	_, err = console.New(r.keys, console.Config{Authorize: authorize, Key: formKey, Brand: console.Brand{Accent: "#ffcc00", AccentDark: "#2456c9"}})
	for _, name := range []string{"ground", "sheet", "accent-wash", "accent-ink"} {
		require.ErrorContains(t, err, `Config.Brand.Accent is "#ffcc00", whose contrast with `+colours(name)[0])
		require.ErrorContains(t, err, `Config.Brand.AccentDark is "#2456c9", whose contrast with `+colours(name)[1])
	}
	served := r.get("nobody", "/console.css").Body
	require.Contains(t, served, "@media screen { :root { --accent: "+colours("accent")[0]+"; } }")
	require.Contains(t, served, "@media screen and (prefers-color-scheme: dark) { :root { --accent: "+colours("accent")[1]+"; } }")
}
