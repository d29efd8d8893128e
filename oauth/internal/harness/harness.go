// Package harness is what the tests of packages under oauth share: a recorder of
// all output that searches it for secrets, requests and their answers, a tap
// between a program and its store, a network in memory, a catalog and people.
// Only tests import it. Hosts' tests use package oauthtest.
package harness

import (
	"os"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/oauthtest"
	"github.com/latchkey-go/latchkey/scope"
)

// Catalog has permissions for projects, and those for keys that Management names.
var Catalog = scope.MustCatalog(
	scope.Group{Title: "Projects", Permissions: []scope.Permission{
		{Name: "project.list", Title: "List projects"}, {Name: "project.save"}, {Name: "project.delete"},
		{Name: "admin.project.list", Level: scope.Admin},
	}},
	scope.Group{Title: "Keys", Permissions: []scope.Permission{
		{Name: "keys.list"}, {Name: "keys.save"}, {Name: "keys.delete"}, {Name: "keys.rotate"},
		{Name: "admin.keys.list", Level: scope.Admin},
		{Name: "admin.keys.save", Level: scope.Admin},
		{Name: "admin.keys.delete", Level: scope.Admin},
	}},
)

// Management names the permissions of Catalog that manage keys.
var Management = apikey.Management{
	List: "keys.list", Save: "keys.save", Delete: "keys.delete", RotateOwn: "keys.rotate",
	AdminList: "admin.keys.list", AdminSave: "admin.keys.save", AdminDelete: "admin.keys.delete",
}

// The people of the tests.
var (
	Ada   = apikey.OrganizationAdmin("ada")
	Olga  = apikey.Member("olga", apikey.Owner, "team-a")
	Max   = apikey.Member("max", apikey.Manager, "team-a")
	Bert  = apikey.Member("bert", apikey.Owner, "team-b")
	Lena  = apikey.Member("lena", apikey.Owner, "team-a").Granting(scope.MustParse("project.list"))
	Guest = apikey.Member("guest", "visitor", "team-a")
)

// Pepper returns the pepper of the tests.
func Pepper() apikey.Pepper {
	return apikey.Pepper{Version: 1, Key: []byte("the pepper of the tests, 32 bytes and more")}
}

// ClockAt returns a clock that is set to the given time.
func ClockAt(at time.Time) *oauthtest.Clock {
	clock := &oauthtest.Clock{}
	clock.Set(at)
	return clock
}

// Soak reports whether the tests run in their full form.
func Soak() bool { return os.Getenv("LATCHKEY_SOAK") == "1" }

// Rounds returns how often a test repeats: few times, a fifth of them with -short,
// or full times, as its requirement asks, with LATCHKEY_SOAK=1.
func Rounds(few, full int) int {
	switch {
	case Soak():
		return full
	case testing.Short():
		return max(few/5, 1)
	}
	return few
}
