// Command table writes the table of RESULTS.md from the reports of the tests of this module
// and of ../js. It fails if a test failed, or if a peer accepted nothing or refused nothing:
// without a refusal, a passing test does not show that the peer checks tokens.
//
//	table -go go-test.json -tap node.tap -versions versions.txt >RESULTS.md
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	goTest := flag.String("go", "", "`file` with the output of go test -json")
	tap := flag.String("tap", "", "`file` with the output of node --test --test-reporter=tap")
	versions := flag.String("versions", "", "`file` with the peers in the order of the table: ecosystem, peer, version")
	flag.Parse()
	if err := run(*goTest, *tap, *versions, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(goTest, tap, versions string, out io.Writer) error {
	var t table
	for _, input := range []struct {
		file string
		line func(string) error
	}{{versions, t.readVersion}, {goTest, t.readGo}, {tap, t.readTAP}} {
		if err := eachLine(input.file, input.line); err != nil {
			return err
		}
	}
	if err := t.check(); err != nil {
		return err
	}
	_, err := io.WriteString(out, t.String())
	return err
}

func eachLine(name string, use func(string) error) error {
	text, err := os.ReadFile(name) //nolint:gosec // the file is named on the command line
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if err := use(strings.TrimSuffix(line, "\n")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// table holds the rows in the order of the versions.
type table struct {
	rows     []*row
	problems []error
}

// The kinds of what a peer did in the tests.
const (
	shown   = "shown"
	refused = "refused"
)

type row struct {
	ecosystem, peer, version string
	results                  map[string][]string // by kind: shown, refused
}

func (t *table) readVersion(line string) error {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return fmt.Errorf("the line %q must hold three words: ecosystem, peer, version", line)
	}
	t.rows = append(t.rows, &row{ecosystem: fields[0], peer: fields[1], version: fields[2], results: map[string][]string{}})
	return nil
}

func (t *table) readGo(line string) error {
	var event struct{ Action, Package, Test, Key, Value string }
	if err := json.Unmarshal([]byte(line), &event); err != nil {
		return err
	}
	switch event.Action {
	case "attr":
		peer, what, ok := strings.Cut(event.Value, "\t")
		if !ok {
			return fmt.Errorf("the attribute %q must hold a peer and what it did, separated by a tab", event.Value)
		}
		return t.add(event.Key, peer, what)
	case "fail", "build-fail":
		t.problems = append(t.problems, fmt.Errorf("failed: %s %s", event.Package, event.Test))
	}
	return nil
}

var point = regexp.MustCompile(`^ *(not )?ok \d+ - (?:(\w+) \| ([^|]+) \| )?(.*?)( # (?:SKIP|TODO).*)?$`)

func (t *table) readTAP(line string) error {
	found := point.FindStringSubmatch(line)
	switch {
	case found == nil:
		return nil
	case found[1] != "":
		t.problems = append(t.problems, errors.New("failed: "+line))
		return nil
	case found[2] == "" || found[5] != "":
		return fmt.Errorf("the test %q names no peer, or was skipped: use shows or refuses of fixture.js", line)
	}
	return t.add(found[2], found[3], found[4])
}

func (t *table) add(kind, peer, what string) error {
	if kind != shown && kind != refused {
		return fmt.Errorf("%q is neither %s nor %s", kind, shown, refused)
	}
	i := slices.IndexFunc(t.rows, func(r *row) bool { return r.peer == peer })
	if i < 0 {
		return fmt.Errorf("peer %q is not among the versions: add it to the list in examples/interop/run", peer)
	}
	if results := t.rows[i].results; !slices.Contains(results[kind], what) {
		results[kind] = append(results[kind], what)
	}
	return nil
}

func (t *table) check() error {
	problems := t.problems
	for _, r := range t.rows {
		for _, kind := range []string{shown, refused} {
			if len(r.results[kind]) == 0 {
				problems = append(problems, fmt.Errorf("nothing was %s by %s", kind, r.peer))
			}
		}
	}
	return errors.Join(problems...)
}

const head = `# Clients and verifiers tested with Latchkey

Made by ` + "`examples/interop/run -update`" + ` from a run of the tests beside it. Do not edit it.
Each client logged in and reached only what its key may reach. Each verifier
accepted a good token. The last column lists what the peer refused in the same
run, for the expected reason. It shows that the peer really checks.

| | peer | version | shown | refused |
|---|---|---|---|---|
`

// String returns the Markdown.
func (t *table) String() string {
	var b strings.Builder
	b.WriteString(head)
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", r.ecosystem, r.peer, r.version,
			strings.Join(r.results[shown], "; "), strings.Join(r.results[refused], "; "))
	}
	return b.String()
}
