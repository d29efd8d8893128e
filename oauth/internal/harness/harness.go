// Package harness holds what the tests below oauth share: a recorder of everything
// that a program outputs and the search for secrets in it, requests and answers, a
// network in memory, a catalog and actors. Only tests import it.
package harness

import (
	"crypto/rand"
	"crypto/rsa"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
)

// Catalog has permissions for projects, and those of Management for keys.
var Catalog = scope.MustCatalog(
	scope.Group{Title: "Projects", Permissions: []scope.Permission{
		{Name: "project.list", Title: "List projects", Description: "See which projects there are."}, {Name: "project.save"}, {Name: "project.delete"},
		{Name: "admin.project.list", Level: scope.Admin},
	}},
	scope.Group{Title: "Keys", Permissions: []scope.Permission{
		{Name: "keys.list"}, {Name: "keys.save"}, {Name: "keys.delete"}, {Name: "keys.rotate"},
		{Name: "admin.keys.list", Level: scope.Admin},
		{Name: "admin.keys.save", Level: scope.Admin},
		{Name: "admin.keys.delete", Level: scope.Admin},
		{Name: "admin.settings.read", Level: scope.Admin},
		{Name: "admin.settings.save", Level: scope.Admin},
		{Name: "admin.workspaces.suspend", Level: scope.Admin},
	}},
)

// Management are the permissions of Catalog that manage keys.
var Management = apikey.Management{
	List: "keys.list", Save: "keys.save", Delete: "keys.delete", RotateOwn: "keys.rotate",
	AdminList: "admin.keys.list", AdminSave: "admin.keys.save", AdminDelete: "admin.keys.delete",
	ReadSettings: "admin.settings.read", SaveSettings: "admin.settings.save", SuspendWorkspaces: "admin.workspaces.suspend",
}

// The people of the tests.
var (
	Ada   = apikey.OrganizationAdmin("ada")
	Olga  = apikey.Owner("olga", "team-a")
	Max   = apikey.Owner("max", "team-a")
	Bert  = apikey.Owner("bert", "team-b")
	Lena  = apikey.Owner("lena", "team-a").Granting(scope.MustParse("project.list"))
	Guest = apikey.Owner("guest") // of no workspace
)

// RSAKey is shared, because generating one takes longer than most tests.
var RSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// Pepper returns the pepper of the tests.
func Pepper() apikey.Pepper {
	return apikey.Pepper{Version: 1, Key: []byte("the pepper of the tests, 32 bytes and more")}
}

// NewKey creates a key as an administrator, and registers its secret for
// Recorder.Search.
func NewKey(t testing.TB, keys *apikey.Service, out *Recorder, workspace, name, permissions string) (apikey.Key, string) {
	t.Helper()
	key, secret, err := keys.Create(t.Context(), Ada, apikey.Spec{Workspace: workspace, Name: name, Permissions: scope.MustParse(permissions)})
	require.NoError(t, err)
	out.Keep(secret.Reveal())
	return key, secret.Reveal()
}

// ClockAt returns a clock with the given time.
func ClockAt(at time.Time) *oauthtest.Clock {
	clock := &oauthtest.Clock{}
	clock.Set(at)
	return clock
}

// Rounds returns the number of repetitions of a test: few, a fifth of few with
// -short, or full with LATCHKEY_SOAK=1.
func Rounds(few, full int) int {
	switch {
	case os.Getenv("LATCHKEY_SOAK") == "1":
		return full
	case testing.Short():
		return max(few/5, 1)
	}
	return few
}
