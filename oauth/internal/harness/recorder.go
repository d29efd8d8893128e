package harness

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// Recorder keeps a program's output, and the secrets that must not be in it. The
// zero value is ready. It is safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	log     bytes.Buffer // as text
	out     bytes.Buffer // the log as JSON, and the texts of Note
	secrets []string
}

// Logger returns a logger whose lines of every level are kept, as text and as
// JSON.
func (r *Recorder) Logger() *slog.Logger {
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	return slog.New(slog.NewMultiHandler(
		slog.NewTextHandler(writer(func(line []byte) { r.log.Write(line) }, &r.mu), all),
		slog.NewJSONHandler(writer(func(line []byte) { r.out.Write(line) }, &r.mu), all),
	))
}

type lockedWriter struct {
	mu   *sync.Mutex
	take func([]byte)
}

func writer(take func([]byte), mu *sync.Mutex) io.Writer { return lockedWriter{mu, take} }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(p)
	return len(p), nil
}

// String returns the log as text.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// Keep adds secrets to search for.
func (r *Recorder) Keep(secrets ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.secrets = append(r.secrets, secrets...)
}

// Note keeps texts of the output other than the log.
func (r *Recorder) Note(texts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range texts {
		r.out.WriteString(text + "\n")
	}
}

// Show keeps a value as fmt prints it with each verb, and as JSON.
func (r *Recorder) Show(v any) {
	r.Note(fmt.Sprintf("%v\n%+v\n%#v\n%q", v, v, v, v))
	if text, err := json.Marshal(v); err == nil {
		r.Note(string(text))
	}
}

// Search fails the test if the output holds a secret.
func (r *Recorder) Search(t testing.TB) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	SearchFor(t, r.log.String()+r.out.String(), r.secrets...)
}

// SearchFor fails the test if text holds a secret, as it is or encoded.
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
				t.Errorf("B11 %s is in the output", name)
			}
		}
	}
}

// Dump returns every string and byte slice that can be reached from v,
// unexported fields included.
func Dump(v any) []string {
	var texts []string
	seen := make(map[uintptr]bool)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			texts = append(texts, v.String())
		case reflect.Pointer:
			if !v.IsNil() && !seen[v.Pointer()] {
				seen[v.Pointer()] = true
				walk(v.Elem())
			}
		case reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
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
