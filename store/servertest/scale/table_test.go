package scale_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// table is the table that the test prints.
type table struct{ rows []row }

// row is one store at one size.
type row struct {
	store  string
	keys   int
	bytes  int64           // per key
	took   []time.Duration // by task
	growth []float64       // relative to few keys, by task
}

func (tb *table) add(t *testing.T, r row) {
	t.Helper()
	tb.rows = append(tb.rows, r)
	t.Log(r.line())
}

// line returns the row as Markdown.
func (r *row) line() string {
	most := 0
	for i := range r.growth {
		if r.growth[i] > r.growth[most] {
			most = i
		}
	}
	cells := []string{r.store, grouped(r.keys), grouped(int(r.bytes))}
	for _, took := range r.took {
		cells = append(cells, short(took))
	}
	worst := "1.0x"
	if r.growth[most] >= 1.05 {
		worst = fmt.Sprintf("%.1fx, %s", r.growth[most], tasks[most].name)
	}
	return "| " + strings.Join(append(cells, worst), " | ") + " |"
}

// grouped returns a number with commas between groups of three digits.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return grouped(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

func short(d time.Duration) string {
	us := float64(d) / float64(time.Microsecond)
	switch {
	case us < 10:
		return fmt.Sprintf("%.1f us", us)
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

const (
	begins = "<!-- the table of scale begins -->\n"
	ends   = "<!-- the table of scale ends -->\n"
)

// publish prints the table. With LATCHKEY_UPDATE=1 it also replaces the rows of the same
// stores and sizes in store/README.md.
func (tb *table) publish(t *testing.T) {
	t.Helper()
	head := []string{"store", "keys", "bytes a key"}
	for _, task := range tasks {
		head = append(head, task.name)
	}
	head = append(head, "largest growth")
	title := "| " + strings.Join(head, " | ") + " |\n" + strings.Repeat("|---", len(head)) + "|\n"
	lines := make(map[string]string)
	for _, r := range tb.rows {
		lines[r.store+" | "+grouped(r.keys)] = r.line()
	}
	t.Log("\n" + title + ordered(lines))
	if os.Getenv("LATCHKEY_UPDATE") != "1" || !soak() {
		return
	}
	const file = "../../README.md"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), begins)
	require.True(t, found, "%s has a place for the table", file)
	old, after, found := strings.Cut(rest, ends)
	require.True(t, found, "%s has a place for the table", file)
	for line := range strings.Lines(old) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != len(head) || cells[0] == head[0] {
			continue
		}
		if key := cells[0] + " | " + cells[1]; lines[key] == "" {
			lines[key] = strings.TrimSpace(line)
		}
	}
	text := before + begins + "\n" + title + ordered(lines) + "\n" + ends + after
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) //nolint:gosec // the path is a constant
}

// ordered returns the lines, sorted by driver and size.
func ordered(lines map[string]string) string {
	var all []string
	for _, rig := range rigs {
		var own []string
		for key := range lines {
			if strings.HasPrefix(key, rig.name+" | ") {
				own = append(own, key)
			}
		}
		slices.SortFunc(own, func(a, b string) int { return len(a) - len(b) }) // sizes are powers of ten
		for _, key := range own {
			all = append(all, lines[key]+"\n")
		}
	}
	return strings.Join(all, "")
}
