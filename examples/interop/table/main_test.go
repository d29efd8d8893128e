package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	const (
		versions = "Go a v1\nnpm b 2\n"
		goodGo   = `{"Action":"attr","Test":"T","Key":"shown","Value":"a\tlogin"}
{"Action":"attr","Test":"T","Key":"shown","Value":"a\tlogin"}
{"Action":"attr","Test":"T","Key":"refused","Value":"a\texpired"}
{"Action":"pass","Test":"T"}
`
		goodTAP = "TAP version 13\n# Subtest: x\nok 1 - shown | b | one: two\nok 2 - refused | b | other key\n"
	)
	for _, c := range []struct {
		name, versions, goTest, tap string
		problem                     string
	}{
		{"all is well", versions, goodGo, goodTAP, ""},
		{"a Go test failed", versions, goodGo + `{"Action":"fail","Test":"T"}` + "\n", goodTAP, "failed:  T"},
		{"a Node test failed", versions, goodGo, goodTAP + "not ok 5 - shown | b | more\n", "failed: not ok 5"},
		{"a Node test was skipped", versions, goodGo, goodTAP + "ok 5 - shown | b | more # SKIP no time\n", "was skipped"},
		{"a Node test names no peer", versions, goodGo, goodTAP + "ok 5 - /somewhere/x.test.js\n", "names no peer"},
		{"a Node test is of another kind", versions, goodGo, goodTAP + "ok 5 - gap | b | more\n", "neither shown nor refused"},
		{"no negative twin", versions, strings.Replace(goodGo, "refused", "shown", 1), goodTAP, "nothing was refused by a"},
		{"a peer is missing", versions + "npm c 3\n", goodGo, goodTAP, "nothing was shown by c"},
		{"an unknown peer", "Go a v1\n", goodGo, goodTAP, `peer "b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				name = filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
				return name
			}
			var out strings.Builder
			err := run(write("go", c.goTest), write("tap", c.tap), write("versions", c.versions), &out)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				require.Empty(t, out.String())
				return
			}
			require.NoError(t, err)
			require.True(t, strings.HasSuffix(out.String(), "|---|---|---|---|---|\n"+
				"| Go | `a` | v1 | login | expired |\n"+
				"| npm | `b` | 2 | one: two | other key |\n"), out.String())
		})
	}
}
