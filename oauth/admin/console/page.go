package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/trust"
)

//go:embed templates assets
var files embed.FS

// load parses the embedded templates, and collects the files that pages refer to.
// colours is the host's part of the stylesheet.
func (c *Console) load(colours string) {
	c.pages = template.Must(template.New("").Funcs(functions()).ParseFS(files, "templates/*.html", "templates/pages/*.html"))
	c.assets = map[string][]byte{}
	for _, name := range []string{"console.css", "console.js", "icon.svg"} {
		c.assets[strings.TrimSuffix(name, ".svg")], _ = files.ReadFile("assets/" + name) //nolint:errcheck // it is embedded
	}
	c.assets["console.css"] = append(c.assets["console.css"], colours...)
	if len(c.cfg.Brand.Logo) > 0 {
		c.assets["icon"] = slices.Clone(c.cfg.Brand.Logo)
	}
	sum := sha256.Sum256(fmt.Append(nil, c.assets)) // fmt sorts maps
	c.version = hex.EncodeToString(sum[:8])
}

// serveAsset answers with an asset. Its URL holds the version, so that browsers may
// cache it. The icon may be an SVG of the host's. Opened by itself, an SVG is a page, so
// it has a policy that lets no script run.
func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request) {
	c.host.BoundBody(w, r, c.cfg.Timeout)
	name, header := path.Base(r.URL.Path), w.Header()
	kinds := map[string]string{"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon": imageType(c.assets["icon"])}
	header.Set("Content-Type", kinds[name])
	if name == "icon" {
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	}
	if r.URL.Query().Get("v") == c.version {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(c.assets[name]))
}

// frame is the data of the layout. Data is the data of the page.
type frame struct {
	Here      string // the entry of the menu
	Title     string
	Workspace string // empty on pages that belong to no workspace
	Form      string // the id of the page's form; if empty, show makes one
	Problems  []problem
	Data      any
	// Set by show:
	Root, Version, SignOut, Notice string
	Person                         Person
	Admin                          bool
	Finds                          bool // the person may see keys, so the menu links to the search by a secret
	Brand                          Brand
	now                            time.Time
	entries                        []trust.Issuer
	ids                            map[string]bool   // the ids that TitleOf was called with
	titles                         map[string]string // the host's titles, by id
}

// TitleOf returns the host's title of a workspace, or its id. It records the id, so that
// render knows which titles the page needs.
func (f frame) TitleOf(workspace string) string {
	f.ids[workspace] = true
	title := []rune(f.titles[workspace])
	return cmp.Or(string(title[:min(len(title), maxTitle)]), workspace)
}

// Link is the address of a page of the console.
func (f frame) Link(segments ...string) string { return join(f.Root, segments...) }

// Reason says what is wrong with a field. It is empty if nothing is wrong.
func (f frame) Reason(field string) string {
	for _, p := range f.Problems {
		if p.Field == field {
			return p.Reason
		}
	}
	return ""
}

// show sends a page. With status 200 it also shows the notice of the change that
// led to the page.
func (s *call) show(status int, name string, f frame) error {
	f.Root, f.Version, f.SignOut, f.now = s.root(), s.c.version, s.c.cfg.SignOut, s.keys().Now()
	f.Person, f.Admin, f.Brand, f.entries = s.person, s.administers(), s.c.cfg.Brand, s.keys().TrustedIssuers()
	if rights, err := s.keys().Rights(s.r.Context(), s.actor()); err == nil {
		f.Finds = len(rights.Everywhere)+len(rights.Workspaces) > 0
	}
	f.Form = cmp.Or(f.Form, s.newFormID())
	if status == http.StatusOK {
		f.Notice = notices()[s.r.URL.Query().Get("done")]
	}
	text, err := s.render(name, f)
	if err != nil {
		return fmt.Errorf("console: page %s: %w", name, err)
	}
	header := s.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	s.w.WriteHeader(status)
	_, _ = s.w.Write(text) //nolint:errcheck // fails only if the browser has disconnected
	return nil
}

// render makes the text of a page. If the host has titles for workspaces, it makes the
// text twice: the first time to learn which workspaces the page names. If the host's
// function fails or is late, the page shows ids.
func (s *call) render(name string, f frame) ([]byte, error) {
	f.ids = map[string]bool{}
	var text bytes.Buffer
	err := s.c.pages.ExecuteTemplate(&text, name+".html", f)
	if err != nil || s.c.cfg.Titles == nil || len(f.ids) == 0 {
		return text.Bytes(), err
	}
	ctx, cancel := context.WithTimeout(s.r.Context(), s.c.cfg.Timeout/4)
	defer cancel()
	if f.titles, err = s.c.cfg.Titles(ctx, slices.Sorted(maps.Keys(f.ids))); err != nil {
		s.c.cfg.Logger.WarnContext(ctx, "the titles of workspaces could not be read: pages show ids", "error", err)
		return text.Bytes(), nil
	}
	text.Reset()
	err = s.c.pages.ExecuteTemplate(&text, name+".html", f)
	return text.Bytes(), err
}

// notices returns the texts that confirm a change, by the query parameter "done".
func notices() map[string]string {
	return map[string]string{
		"create":    "The key was created.",
		"change":    "The key was changed.",
		"same":      "Nothing was changed.",
		"add":       "The key got a new credential. It works from now on.",
		"retire":    "The credential was retired. It no longer works, and its tokens were revoked.",
		"disable":   "The key was disabled. It cannot log in, and its tokens were revoked.",
		"enable":    "The key was enabled.",
		"delete":    "The key was deleted.",
		"settings":  "The settings were saved.",
		"suspended": "The workspace was suspended. Its keys cannot log in, and their tokens were revoked.",
		"resumed":   "The workspace was resumed. Its keys are no longer suspended.",
	}
}
