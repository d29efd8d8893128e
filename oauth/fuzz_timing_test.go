//go:build timing

package oauth_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTimingBodies tests that the bodies that take longest to parse are parsed in a
// short time: bodies of the maximal size that repeat one element.
func TestTimingBodies(t *testing.T) {
	z := newFuzzed(t)
	const full = 64 << 10
	fill := func(part string) string { return strings.Repeat(part, full/len(part)) }
	for _, tc := range []struct{ name, contentType, body, authorization string }{
		{"B12 separators", form, fill("&"), ""},
		{"B12 parameters", form, fill("a=1&"), ""},
		{"B12 escapes", form, "scope=" + fill("%61")[:full-6], ""},
		{"B12 scopes", form, cc + "&scope=" + fill("a+")[:full-100], ""},
		{"B12 resources", form, cc + fill("&resource=https://a")[:full-100], ""},
		{"B12 nested arrays", "application/json", fill("["), ""},
		{"B12 nested objects", "application/json", fill(`{"a":`), ""},
		{"B12 members", "application/json", "{" + fill(`"a":1,`)[:full-10] + `"b":1}`, ""},
		{"B12 a long number", "application/json", `{"clientId":` + fill("9")[:full-20] + "}", ""},
		{"B12 escapes in JSON", "application/json", `{"clientId":"` + fill(`\u0061`)[:full-16] + `"}`, ""},
		{"B12 a long header", form, cc, "Basic " + base64.StdEncoding.EncodeToString([]byte(fill("a")))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			began := time.Now()
			require.False(t, z.login(t, tc.contentType, tc.body, "", tc.authorization))
			require.Less(t, time.Since(began), 2*time.Second)
		})
	}
}
