package harness

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/store"
)

// Recorder keeps the output of a program, and the secrets that must not be in it.
// The zero value is ready. It is safe for concurrent use.
type Recorder struct {
	log, out text // log: the log as text; out: the log as JSON, and the noted texts
	mu       sync.Mutex
	secrets  []string
}

type text struct {
	mu sync.Mutex
	bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Buffer.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Buffer.String()
}

// Logger returns a logger. Its lines of all levels are kept, as text and as JSON.
func (r *Recorder) Logger() *slog.Logger {
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	return slog.New(slog.NewMultiHandler(slog.NewTextHandler(&r.log, all), slog.NewJSONHandler(&r.out, all)))
}

// String returns the log as text.
func (r *Recorder) String() string { return r.log.String() }

// Keep registers secrets to search for.
func (r *Recorder) Keep(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secrets...)
}

// Note keeps texts that the program output.
func (r *Recorder) Note(texts ...string) {
	_, _ = r.out.Write([]byte(strings.Join(texts, "\n") + "\n"))
}

// Show keeps a value as fmt and encoding/json print it.
func (r *Recorder) Show(v any) {
	r.Note(fmt.Sprintf("%v\n%+v\n%#v\n%q", v, v, v, v))
	if text, err := json.Marshal(v); err == nil {
		r.Note(string(text))
	}
}

// Search fails the test if a secret is in the output.
func (r *Recorder) Search(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	SearchFor(t, r.log.String()+r.out.String(), r.secrets...)
}

// SearchStore is Search in the output and in a store: its keys and events as they
// print, and its memory.
func (r *Recorder) SearchStore(t testing.TB, st store.Store) {
	t.Helper()
	ctx := context.Background()
	if page, err := st.Events.List(ctx, store.EventQuery{Limit: store.MaxPage}); err == nil {
		r.Show(page)
	} // a store that fails has nothing to show
	if page, err := st.Keys.List(ctx, store.KeyQuery{Limit: store.MaxPage}); err == nil {
		r.Show(page)
	}
	r.Note(Dump(st)...)
	r.Search(t)
}

// SearchFor fails the test if text holds a secret, plain or encoded.
func SearchFor(t testing.TB, text string, secrets ...string) {
	t.Helper()
	text = strings.ToLower(text)
	for _, secret := range secrets {
		body := strings.TrimPrefix(secret, "lk_")
		for name, canary := range map[string]string{
			"the secret":    secret,
			"its body":      body,
			"its beginning": body[:len(body)/2],
			"base64":        base64.RawStdEncoding.EncodeToString([]byte(secret)),
			"base64 URL":    base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"hexadecimal":   hex.EncodeToString([]byte(secret)),
			"bytes":         strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
			"a query":       url.QueryEscape(secret),
		} {
			if strings.Contains(text, strings.ToLower(canary)) {
				t.Errorf("B11 the output holds a secret: %s", name)
			}
		}
	}
}

// Dump returns every string and byte slice that can be reached from v, also through
// unexported fields.
func Dump(v any) []string {
	var texts []string
	seen := make(map[uintptr]bool)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) { // the Elem of nil is of no kind below
		switch v.Kind() {
		case reflect.String:
			texts = append(texts, v.String())
		case reflect.Pointer:
			if !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				walk(v.Elem())
			}
		case reflect.Interface:
			walk(v.Elem())
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		case reflect.Map:
			for entries := v.MapRange(); entries.Next(); {
				walk(entries.Key())
				walk(entries.Value())
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				texts = append(texts, string(v.Bytes()))
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		}
	}
	walk(reflect.ValueOf(v))
	return texts
}
