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
// value; later ones must be equal. At the start four tokens are known: $admin of workspace
// admin with every permission; $team of team-a with the permissions for its keys and
// workspaces; $reader of team-a with APIKEY_LIST; $other of team-b.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			w := newWorld(t)
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
			for _, turn := range turns(t, string(text)) {
				turn.play(t, w, known)
			}
		})
	}
}

// turn is one request and its answer.
type turn struct {
	title             string
	request, response message
}

// message is a request or an answer: its first line, headers and body.
type message struct {
	line, body string
	header     [][2]string
}

func turns(t *testing.T, text string) []turn {
	t.Helper()
	var all []turn
	for i, line := range strings.Split(text, "\n") {
		switch {
		case line == "":
		case strings.HasPrefix(line, "# "):
			all = append(all, turn{title: line[2:]})
		case strings.HasPrefix(line, "> ") && len(all) > 0:
			all[len(all)-1].request.add(line[2:])
		case strings.HasPrefix(line, "< ") && len(all) > 0:
			all[len(all)-1].response.add(line[2:])
		default:
			require.Fail(t, "neither #, > nor <", "line %d: %s", i+1, line)
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

func (turn turn) play(t *testing.T, w *world, known map[string]string) {
	t.Helper()
	fill := func(text string) string {
		return os.Expand(text, func(name string) string {
			require.Contains(t, known, name, "%s: nothing has shown it", turn.title)
			return known[name]
		})
	}
	method, path, _ := strings.Cut(turn.request.line, " ")
	header := http.Header{}
	for _, h := range turn.request.header {
		header.Add(h[0], fill(h[1]))
	}
	got, err := send(t.Context(), method, w.url+fill(path), header, fill(turn.request.body))
	require.NoError(t, err, turn.title)
	require.Equal(t, turn.response.line, strconv.Itoa(got.status), "%s: %s", turn.title, got.body)
	for _, h := range turn.response.header {
		require.Equal(t, fill(h[1]), got.header.Get(h[0]), "%s: %s", turn.title, h[0])
	}
	if turn.response.body == "" {
		require.Empty(t, got.body, turn.title)
		return
	}
	var want, have any
	require.NoError(t, json.Unmarshal([]byte(turn.response.body), &want), turn.title)
	require.NoError(t, json.Unmarshal(got.body, &have), turn.title)
	require.Equal(t, learn(want, have, known), have, turn.title)
}

// learn returns want with its $names replaced. It reads unknown ones from have.
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
