package faults_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hostNames are the suffixes of the column names, in the order of the hosts.
var hostNames = []string{"", ", cached"}

// table is the table that the test prints.
type table struct {
	mu   sync.Mutex
	rows []row
}

// row is the result of one fault of one store.
type row struct {
	fault, store string
	answers      []string // for each host: login, guarded route
	refused      int
	slowest      time.Duration
	back         time.Duration
}

func (tb *table) add(r row) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows = append(tb.rows, r)
}

// cell returns the statuses of a kind of request as text.
func cell(statuses []int) string {
	var words []string
	for _, s := range statuses {
		switch s {
		case http.StatusOK, passed:
			words = append(words, "works")
		default:
			words = append(words, fmt.Sprint(s))
		}
	}
	return strings.Join(words, " or ")
}

const (
	begins = "<!-- the table of faults begins -->\n"
	ends   = "<!-- the table of faults ends -->\n"
)

// publish prints the table and, with LATCHKEY_UPDATE=1, writes it into store/README.md.
func (tb *table) publish(t *testing.T) {
	slices.SortStableFunc(tb.rows, func(a, b row) int {
		order := func(r row) int { return slices.IndexFunc(faults, func(f fault) bool { return f.name == r.fault }) }
		return cmp.Compare(order(a), order(b))
	})
	var text strings.Builder
	head := []string{"fault", "store"}
	for _, host := range hostNames {
		head = append(head, "login"+host, "guarded route"+host)
	}
	head = append(head, "changes", "slowest answer", "works again after")
	fmt.Fprintf(&text, "| %s |\n%s|\n", strings.Join(head, " | "), strings.Repeat("|---", len(head)))
	for _, r := range tb.rows {
		changes := "work"
		if r.refused > 0 {
			changes = "refused"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %.1f s | %.1f s |\n", r.fault, r.store, strings.Join(r.answers, " | "), changes,
			r.slowest.Seconds(), r.back.Seconds())
	}
	t.Log("\n" + text.String())
	if os.Getenv("LATCHKEY_UPDATE") != "1" {
		return
	}
	const file = "../../README.md"
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), begins)
	require.True(t, found, "%s has a place for the table", file)
	_, after, found := strings.Cut(rest, ends)
	require.True(t, found, "%s has a place for the table", file)
	require.NoError(t, os.WriteFile(file, []byte(before+begins+"\n"+text.String()+"\n"+ends+after), 0o600)) //nolint:gosec // the path is a constant
}
