package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed templates assets
var files embed.FS

// assets are the files that pages refer to, and their media types.
func assets() map[string]string {
	return map[string]string{
		"console.css": "text/css; charset=utf-8",
		"console.js":  "text/javascript; charset=utf-8",
		"icon.svg":    "image/svg+xml",
	}
}

// load parses the embedded templates. A page is the layout with one body.
func (c *Console) load() {
	layout := template.Must(template.New("layout.html").Funcs(functions()).ParseFS(files, "templates/*.html"))
	c.pages = map[string]*template.Template{}
	pages, _ := fs.Glob(files, "templates/pages/*.html") //nolint:errcheck // the pattern is well formed
	for _, page := range pages {
		name := strings.TrimSuffix(path.Base(page), ".html")
		c.pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, page))
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(assets())) {
		text, _ := files.ReadFile("assets/" + name) //nolint:errcheck // it is embedded
		_, _ = sum.Write(text)                      // a hash never fails
	}
	c.version = hex.EncodeToString(sum.Sum(nil)[:8])
}

// serveAsset answers with an asset. Its URL holds the version, so that browsers
// may cache it.
func (c *Console) serveAsset(w http.ResponseWriter, r *http.Request) {
	c.host.BoundBody(w, r, c.cfg.Timeout)
	name := path.Base(r.URL.Path)
	w.Header().Set("Content-Type", assets()[name])
	if r.URL.Query().Get("v") == c.version {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeFileFS(w, r, files, "assets/"+name)
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
	Person                         string
	Admin                          bool
	Workspaces                     []string
	now                            time.Time
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
	f.Person, f.Admin, f.Workspaces = s.person.Name, s.administers(), s.person.Workspaces
	f.Form = cmp.Or(f.Form, s.newForm())
	if status == http.StatusOK {
		f.Notice = notices()[s.r.URL.Query().Get("done")]
	}
	var text bytes.Buffer
	if err := s.c.pages[name].ExecuteTemplate(&text, "layout.html", f); err != nil {
		return fmt.Errorf("console: page %s: %w", name, err)
	}
	header := s.w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(text.Len()))
	s.w.WriteHeader(status)
	_, _ = s.w.Write(text.Bytes()) //nolint:errcheck // fails only if the browser has disconnected
	return nil
}

// notices returns the texts that confirm a change, by the query parameter "done".
func notices() map[string]string {
	return map[string]string{
		"change":    "The key was changed.",
		"same":      "Nothing was changed.",
		"retire":    "The secret was retired. It no longer works, and its tokens were revoked.",
		"disable":   "The key was disabled. It cannot log in, and its tokens were revoked.",
		"enable":    "The key was enabled. It can log in again.",
		"delete":    "The key was deleted.",
		"settings":  "The settings were saved.",
		"suspended": "The workspace was suspended. Its keys cannot log in, and their tokens were revoked.",
		"resumed":   "The workspace was resumed. Its keys can log in again.",
	}
}
