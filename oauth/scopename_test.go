package oauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInvalidScopeNamesThePermissions tests that invalid_scope names the
// permissions that the key lacks, if the client's secret is right.
func TestInvalidScopeNamesThePermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.newKey("team-b", "project.write") // another workspace's holds it
	asked := func(w *world, scope string) string {
		a := w.post(w.grant("scope", scope))
		w.refused(a, http.StatusBadRequest, "invalid_scope")
		return a.Description()
	}
	for _, tc := range []struct{ scope, want string }{
		{"project.write", "This API key does not hold: project.write."},
		{"project.list project.write project.read", "This API key does not hold: project.write."},
		{"project.write key.rotate", "This API key does not hold: key.rotate, project.write."},
		{"admin.project.list", "This API key does not hold: admin.project.list."},
		// An unknown permission gets the same text as one that other keys hold.
		{"nonsense", "This API key does not hold: nonsense."},
		{"project.*", "This API key does not hold: project.*."},
		{"!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "This API key does not hold: !#$%&'()*+,-./:;<=>?@[]^_`{|}~."},
		{strings.Repeat("x", 200), "This API key does not hold: " + strings.Repeat("x", 200) + "."},
		{strings.Repeat("x", 201), "This API key does not hold every permission that was requested."},
		{"a " + strings.Repeat("x", 60_000), "This API key does not hold: a, and 1 more."},
	} {
		t.Run(fmt.Sprintf("6749-17 and 6749-23 %.40s", tc.scope), func(t *testing.T) {
			require.Equal(t, tc.want, asked(w.at(t), tc.scope))
		})
	}
	t.Run("6749-23 a thousand", func(t *testing.T) {
		var scope []string
		for i := range 1000 {
			scope = append(scope, fmt.Sprintf("x.%03d", i))
		}
		said := asked(w.at(t), strings.Join(scope, " "))
		require.Less(t, len(said), 400, "the response repeats a bounded part of the scope")
		require.Contains(t, said, "x.000, x.001")
		require.Regexp(t, `, and 9\d\d more\.$`, said)
	})
	t.Run("6749-23 a text that is no permission is not repeated", func(t *testing.T) {
		w := w.at(t)
		for _, scope := range []string{`a"secretive`, "a\\secretive", "a\r\nsecretive: x", "secretivé", "\u202esecretive"} {
			require.NotContains(t, asked(w, scope), "secretiv")
		}
	})
	t.Run("B11 a secret that was sent as the scope is not repeated", func(t *testing.T) {
		w := w.at(t)
		require.NotContains(t, asked(w, w.secret), w.secret)
		_, other := w.newKey("team-b", "project.list")
		require.Equal(t, "This API key does not hold: project.write.", asked(w, "project.write "+other))
		for _, around := range []string{"client_secret=%s", "%s,project.list", "project.list,%s", "<%s>"} {
			require.NotContains(t, asked(w, fmt.Sprintf(around, w.secret)), w.secret)
		}
	})
	t.Run("6749-15 with a wrong secret the response names no permission", func(t *testing.T) {
		w := w.at(t)
		a := w.post(cc+"&scope=project.write", basic(w.key.ID, typo(w.secret))...)
		w.refused(a, http.StatusUnauthorized, "invalid_client")
		require.NotContains(t, a.Body, "project")
	})
}
