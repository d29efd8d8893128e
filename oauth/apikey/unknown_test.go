package apikey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
)

// TestUnknownPermissionsBesideOtherProblems: whether the catalog has a permission
// is for actors that may create keys there.
func TestUnknownPermissionsBesideOtherProblems(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name  string
		actor apikey.Actor
		want  []string
	}{
		{"an administrator", admin, []string{"name", "permissions"}},
		{"an owner", owner, []string{"name", "permissions"}},
		{"B20 an owner of another workspace", harness.Bert, []string{"name"}},
		{"B21 an owner of nothing", harness.Guest, []string{"name"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := r.Create(t.Context(), tc.actor, apikey.Spec{Workspace: "team-a", Permissions: perms("project.list no.such")})
			var invalid *apikey.InvalidError
			require.ErrorAs(t, r.note(err), &invalid)
			var fields []string
			for _, p := range invalid.Problems {
				fields = append(fields, p.Field)
			}
			require.Equal(t, tc.want, fields)
		})
	}
}
