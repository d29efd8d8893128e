package apikey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/store"
)

// TestNoWorkspace tests that a request without a workspace is invalid for every
// actor.
func TestNoWorkspace(t *testing.T) {
	r := newRig(t)
	for _, actor := range []apikey.Actor{admin, owner, harness.Guest} {
		for _, workspace := range []string{"", " "} {
			_, _, err := r.tryCreate(actor, workspace, "project.list")
			require.ErrorAs(t, err, new(*apikey.InvalidError))
		}
	}
}

// TestUnknownPermissionsBesideOtherProblems tests that only actors that may create
// keys in the workspace learn whether the catalog has a permission.
func TestUnknownPermissionsBesideOtherProblems(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name  string
		actor apikey.Actor
		want  []string
	}{
		{"an administrator", admin, []string{"name", "permissions"}},
		{"an owner", owner, []string{"name", "permissions"}},
		{"B20 an owner of another workspace", harness.Bert, nil},
		{"B21 an owner of nothing", harness.Guest, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := r.Create(t.Context(), tc.actor, apikey.Spec{Workspace: "team-a", Permissions: perms("project.list no.such")})
			if tc.want == nil {
				require.ErrorIs(t, r.note(err), store.ErrNotFound)
				return
			}
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
