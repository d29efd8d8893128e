package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/answer"
	"github.com/latchkey-go/latchkey/oauth/internal/request"
	"github.com/latchkey-go/latchkey/store"
)

// call is one request.
type call struct {
	h       *Handler
	w       http.ResponseWriter
	r       *http.Request
	route   route
	actor   apikey.Actor
	params  map[string]string
	arrival request.Body // bounds how long the body may take to arrive
	query   url.Values
	body    body
	bad     fieldErrors // what is wrong with the query or the body
	// For a page of a list: the cursor after which it begins, nil for the first
	// page, and its size, 0 for the default. Lists of events and of workspaces use only
	// the ID and the Time of the cursor.
	after *store.KeyCursor
	limit int
	// hasVersion: the caller named a version in If-Match.
	hasVersion bool
	version    int64         // the version in If-Match; for a key, 0 means no condition
	once       *store.OnceID // nil if there is no Idempotency-Key
}

// routeName is the method and pattern of the route. It contains nothing of the
// request's path.
func (c *call) routeName() string { return strings.TrimSpace(c.route.method + " " + c.route.pattern) }

func (c *call) workspace() string { return c.params["workspace"] }

func (c *call) key() string { return c.params["key"] }

// maxQueryErrors bounds the number of query parameters in the errors of an answer.
const maxQueryErrors = 20

// readQuery reads the query. Each parameter must be known to the route and appear
// at most once.
func (c *call) readQuery() error {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return malformed("The query is malformed: a character in it is not correctly encoded. Percent-encode each name and value.")
	}
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(fields) == maxQueryErrors:
		case !slices.Contains(c.route.query, name):
			fields = append(fields, field{Field: shown(name), Reason: "This route has no such parameter."})
		case len(query[name]) > 1:
			fields = append(fields, field{Field: name, Reason: "It appears more than once."})
		}
	}
	if len(fields) > 0 {
		return malformed("The query has a parameter that is unknown to this route or repeated.", fields...)
	}
	c.query = query
	return nil
}

// choice reads a parameter whose value must be one of words. If it is absent, it
// returns "".
func (c *call) choice(name string, words ...string) string {
	word := c.query.Get(name)
	if word != "" && !slices.Contains(words, word) {
		last := len(words) - 1
		c.bad.add(name, "It must be "+strings.Join(words[:last], ", ")+" or "+words[last]+".")
	}
	return word
}

// instant reads a parameter that is an instant or a date. If it is absent, it returns
// the zero time.
func (c *call) instant(name string) time.Time {
	text := c.query.Get(name)
	if text == "" {
		return time.Time{}
	}
	return c.bad.instant(name, text, "")
}

// fieldErrors collects what is wrong with a request, field by field.
type fieldErrors struct {
	list   []field
	prefix string // of the names of fields
}

// add keeps the first reason of each field.
func (f *fieldErrors) add(name, reason string) {
	name = f.prefix + name
	if !slices.ContainsFunc(f.list, func(e field) bool { return e.Field == name }) {
		f.list = append(f.list, field{Field: name, Reason: reason})
	}
}

// instant parses an RFC 3339 instant, or a date, which means its beginning in UTC.
// alternative continues the text of an error, such as ", or null".
func (f *fieldErrors) instant(name, text, alternative string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		at, err = time.Parse(time.RFC3339, text)
	}
	// Stores keep UTC and microseconds. Conversion to UTC can lead to a year
	// outside 1 to 9999. The zero time is refused, because it means that no
	// instant was given.
	at = at.UTC().Truncate(time.Microsecond)
	if err != nil || at.Year() < 1 || at.Year() > 9999 || at.IsZero() {
		f.add(name, "It must be a date like 2027-01-31 or an instant like 2027-01-31T12:00:00Z"+alternative+".")
	}
	return at
}

// orNil returns the collected problems as one error, or nil.
func (f *fieldErrors) orNil() error {
	if len(f.list) == 0 {
		return nil
	}
	return invalid(f.list...)
}

// answer sends a body as JSON.
func (c *call) answer(status int, body any) error {
	c.write(status, "application/json", body)
	return nil
}

// members are the members of a JSON object.
type members map[string]any

// answerPage sends a page of a list, or returns err.
func (c *call) answerPage(next *store.KeyCursor, page members, err error) error {
	if err != nil {
		return err
	}
	cursor, err := c.cursor(next)
	if err != nil {
		return err
	}
	page["next"] = cursor
	return c.answer(http.StatusOK, page)
}

// each converts the entries of a list. An empty list becomes [] and not null.
func each[T, J any](list []T, show func(*T) J) []J {
	shown := make([]J, len(list))
	for i := range list {
		shown[i] = show(&list[i])
	}
	return shown
}

// write sends an answer. It must not be cached, because it holds management data
// or secrets.
func (c *call) write(status int, mediaType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		c.h.cfg.Logger.ErrorContext(c.r.Context(), "an answer could not be encoded as JSON", "route", c.routeName(), "error", err)
		status, mediaType, text = http.StatusInternalServerError, "application/json", []byte(`{}`)
	}
	c.w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	answer.Write(c.w, status, mediaType, append(text, '\n'))
}
