package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGolden runs the dialogues of testdata, each with its own backend. A dialogue consists of
// requests (>) and answers (<). An answer is the status, the relevant headers, and the body as
// JSON. $name in a request is replaced by its value. The first $name in an answer sets the
// value; where $name comes again, the answer must hold the same value. At the start four tokens are known:
// $admin of workspace admin with every permission; $team of team-a with the permissions for
// its keys and workspaces; $reader of team-a with APIKEY_LIST; $other of team-b like $team.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			w := newTestBackend(t)
			team := "APIKEY_LIST APIKEY_SAVE APIKEY_DELETE WORKSPACE_LIST"
			known := map[string]string{
				"admin":  w.login(t, w.key(t, "admin", "*", "")),
				"team":   w.login(t, w.key(t, "team-a", team, "")),
				"reader": w.login(t, w.key(t, "team-a", "APIKEY_LIST", "")),
				"other":  w.login(t, w.key(t, "team-b", team, "")),
				"media":  keyMedia,
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, exchange := range exchanges(t, string(text)) {
				exchange.play(t, w, known)
			}
		})
	}
}

// exchange is one request and its answer.
type exchange struct {
	title             string
	request, response message
}

// message is a request or an answer: its first line, headers and body.
type message struct {
	line, body string
	header     [][2]string
}

func exchanges(t *testing.T, text string) []exchange {
	t.Helper()
	var all []exchange
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			all = append(all, exchange{title: line[2:]})
		case strings.HasPrefix(line, "> ") && len(all) > 0:
			all[len(all)-1].request.add(line[2:])
		case strings.HasPrefix(line, "< ") && len(all) > 0:
			all[len(all)-1].response.add(line[2:])
		default:
			require.Fail(t, "a line must begin with #, > or <", "line %d: %s", i+1, line)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func (m *message) add(line string) {
	name, value, header := strings.Cut(line, ": ")
	switch {
	case m.line == "":
		m.line = line
	case header && m.body == "" && !strings.HasPrefix(line, "{"):
		m.header = append(m.header, [2]string{name, value})
	default:
		m.body += line
	}
}

func (exchange exchange) play(t *testing.T, w *testBackend, known map[string]string) {
	t.Helper()
	fill := func(text string) string {
		return os.Expand(text, func(name string) string {
			require.Contains(t, known, name, "%s: no answer before has set this name", exchange.title)
			return known[name]
		})
	}
	method, path, _ := strings.Cut(exchange.request.line, " ")
	header := http.Header{}
	for _, h := range exchange.request.header {
		header.Add(h[0], fill(h[1]))
	}
	got, err := send(t.Context(), method, w.url+fill(path), header, fill(exchange.request.body))
	require.NoError(t, err, exchange.title)
	require.Equal(t, exchange.response.line, strconv.Itoa(got.status), "%s: %s", exchange.title, got.body)
	for _, h := range exchange.response.header {
		require.Equal(t, fill(h[1]), got.header.Get(h[0]), "%s: %s", exchange.title, h[0])
	}
	if exchange.response.body == "" {
		require.Empty(t, got.body, exchange.title)
		return
	}
	var want, have any
	require.NoError(t, json.Unmarshal([]byte(exchange.response.body), &want), exchange.title)
	require.NoError(t, json.Unmarshal(got.body, &have), exchange.title)
	require.Equal(t, learn(want, have, known), have, exchange.title)
}

// learn returns want with the values of its $names. Unknown values are taken from have.
func learn(want, have any, known map[string]string) any {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		for name, value := range w {
			w[name] = learn(value, h[name], known)
		}
	case []any:
		h, _ := have.([]any)
		for i := range min(len(w), len(h)) {
			w[i] = learn(w[i], h[i], known)
		}
	case string:
		name, is := strings.CutPrefix(w, "$")
		text, _ := have.(string)
		if _, old := known[name]; is && !old && text != "" {
			known[name] = text
		}
		if is {
			return known[name]
		}
	}
	return want
}
