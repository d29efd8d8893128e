package admin_test

import (
	"math/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/admin"
	"github.com/latchkey-go/latchkey/oauth/internal/harness"
	"github.com/latchkey-go/latchkey/scope"
)

// TestEscalation: an actor cannot create, extend, rotate or enable a key that holds
// more than the actor may grant at that moment.
func TestEscalation(t *testing.T) {
	r := newRig(t)
	strong := r.createWith("ada", "team-a", `{"name":"strong","permissions":["admin.project.list","project.save"]}`)
	plain := r.create("olga", "team-a", "plain")
	wide := r.createWith("olga", "team-a", `{"name":"wide","permissions":["project.save"]}`)
	r.do("olga", "POST", "/keys/"+wide.Key.ID+"/disable", "").Wants(http.StatusOK)
	for _, c := range []struct {
		name, actor, method, path, body string
		missing                         string
	}{
		{"an owner, admin permission", "olga", "POST", createA, `{"name":"x","permissions":["admin.project.list"]}`, "admin.project.list"},
		{"an owner who is limited", "lena", "POST", createA, `{"name":"x","permissions":["project.list","project.save"]}`, "project.save"},
		{"a pattern within", "lena", "POST", createA, `{"name":"x","permissions":["project.*"]}`, "project.delete project.save"},
		{"widened", "lena", "PATCH", "/keys/" + plain.Key.ID, `{"permissions":["project.list","project.save"]}`, "project.save"},
		{"prolonged", "lena", "PATCH", "/keys/" + wide.Key.ID, `{"permissions":["project.save"],"name":"mine"}`, "project.save"},
		{"rotated", "lena", "POST", "/keys/" + wide.Key.ID + "/rotate", `{"grace":0}`, "project.save"},
		{"rotated and narrowed, not enough", "olga", "POST", "/keys/" + strong.Key.ID + "/rotate", `{"grace":0,"permissions":["admin.project.list"]}`, "admin.project.list"},
		{"rotated, admin permission", "olga", "POST", "/keys/" + strong.Key.ID + "/rotate", `{"grace":0}`, "admin.project.list"},
		{"given a public key", "lena", "POST", "/keys/" + wide.Key.ID + "/public_keys", `{"name":"x","public_key":` + ecKey + `}`, "project.save"},
		{"given a trust, admin permission", "olga", "POST", "/keys/" + strong.Key.ID + "/trusts", `{"name":"x","issuer":"cluster","claims":{"uid":"1"}}`, "admin.project.list"},
		{"created with a trust", "lena", "POST", createA, `{"name":"x","permissions":["project.save"],"secret":false,"trusts":[{"name":"x","issuer":"cluster","claims":{"uid":"1"}}]}`, "project.save"},
		{"revived", "lena", "POST", "/keys/" + wide.Key.ID + "/enable", `{}`, "project.save"},
	} {
		t.Run("B21 "+c.name, func(t *testing.T) {
			r := r.at(t)
			before := r.snapshot("team-a")
			p := r.do(c.actor, c.method, c.path, c.body).problem(http.StatusForbidden, admin.CodeForbidden)
			require.Equal(t, c.missing, strings.Join(p.Missing, " "))
			require.Equal(t, before, r.snapshot("team-a"))
		})
	}
	for name, permission := range map[string]string{
		"admin pattern": "admin.*", "everything": "*", "in another case": "ADMIN.project.list", "a letter that folds": "admin.project.li\u017ft",
		"a letter that looks alike": "\u0430dmin.project.list", "with a space": "project.list admin.project.list", "half a segment": "adm*.project.list",
	} {
		t.Run("B21 "+name, func(t *testing.T) {
			r := r.at(t)
			got := r.do("olga", "POST", createA, `{"name":"x","permissions":["`+permission+`"]}`)
			if got.StatusCode == http.StatusCreated {
				var m made
				got.Into(&m)
				require.NotContains(t, strings.Join(m.Key.Permissions, " "), "admin.")
				return
			}
			got.problem(http.StatusUnprocessableEntity, admin.CodeInvalid)
		})
	}
	t.Run("B21 removing permissions is allowed", func(t *testing.T) {
		r := r.at(t)
		r.do("lena", "PATCH", "/keys/"+wide.Key.ID, `{"permissions":[]}`).Wants(http.StatusOK)
		r.do("olga", "POST", "/keys/"+strong.Key.ID+"/disable", "").Wants(http.StatusOK)
		r.do("olga", "DELETE", "/keys/"+strong.Key.ID, "").Wants(http.StatusNoContent)
	})
}

// TestKeysThatManage: what a key may do is read from its record at the time of the
// request, and is limited to its token's permissions.
func TestKeysThatManage(t *testing.T) {
	r := newRig(t)
	m := r.createWith("ada", "team-a", `{"name":"manager","permissions":["keys.save","keys.list","project.list"],"expires_at":"2026-12-31"}`)
	other := r.create("olga", "team-a", "other")
	as := func(granted string) []string { return []string{"X-Key", m.Key.ID, "X-Scope", granted} }
	all := as("keys.save keys.list project.list")

	var child made
	r.do("", "POST", createA, `{"name":"child","permissions":["project.list"]}`, all...).Wants(http.StatusCreated).Into(&child)
	require.Equal(t, "2026-12-31", *child.Key.ExpiresOn, "B21 a child does not outlive its creator")
	require.Equal(t, m.Key.ID, child.Key.CreatedBy.ID)
	for name, c := range map[string]struct{ method, path, body, granted string }{
		"more than it holds":           {"POST", createA, `{"name":"x","permissions":["project.save"]}`, "keys.save project.list project.save"},
		"more than its token":          {"POST", createA, `{"name":"x","permissions":["project.list"]}`, "keys.save"},
		"a child that outlives":        {"POST", createA, `{"name":"x","permissions":[],"expires_at":"2027-01-01"}`, "keys.save"},
		"itself, wider":                {"PATCH", "/keys/" + m.Key.ID, `{"permissions":["keys.*","project.*"]}`, "keys.save keys.list project.list"},
		"itself, longer":               {"PATCH", "/keys/" + m.Key.ID, `{"expires_at":null}`, "keys.save keys.list project.list"},
		"itself, rotated and more":     {"POST", "/keys/" + m.Key.ID + "/rotate", `{"grace":0,"expires_at":null}`, "keys.save keys.list project.list"},
		"itself, a public key":         {"POST", "/keys/" + m.Key.ID + "/public_keys", `{"name":"x","public_key":` + ecKey + `}`, "keys.save keys.list project.list"},
		"itself, a trust":              {"POST", "/keys/" + m.Key.ID + "/trusts", `{"name":"x","issuer":"cluster","claims":{"uid":"1"}}`, "keys.save keys.list project.list"},
		"itself, retired":              {"DELETE", "/keys/" + m.Key.ID + "/credentials/" + m.Key.Secrets[0].ID, ``, "keys.save keys.list project.list"},
		"a deletion":                   {"DELETE", "/keys/" + other.Key.ID, ``, "keys.save keys.list keys.delete"},
		"with a token that only looks": {"POST", "/keys/" + other.Key.ID + "/disable", ``, "keys.list"},
	} {
		t.Run("B21 "+name, func(t *testing.T) {
			r.at(t).do("", c.method, c.path, c.body, as(c.granted)...).problem(http.StatusForbidden, admin.CodeForbidden)
		})
	}
	r.do("", "POST", "/keys/"+m.Key.ID+"/rotate", `{"grace":3600}`, append(all, "X-Credential", m.Key.Secrets[0].ID)...).Wants(http.StatusOK)
	r.do("ada", "PATCH", "/keys/"+m.Key.ID, `{"permissions":["keys.list","project.list"]}`).Wants(http.StatusOK)
	r.do("", "POST", createA, `{"name":"x","permissions":[]}`, all...).problem(http.StatusForbidden, admin.CodeForbidden)
	r.do("ada", "POST", "/keys/"+m.Key.ID+"/disable", "").Wants(http.StatusOK)
	r.do("", "GET", createA, "", all...).problem(http.StatusForbidden, admin.CodeForbidden)
}

// TestNeverMore runs random sequences of creations, changes, rotations and enablings by
// actors with different permissions. Whenever a key's holder gains something, the actor
// could grant everything that the key then holds.
func TestNeverMore(t *testing.T) {
	r := newRig(t)
	random := rand.New(rand.NewSource(21))
	names := catalog.All().Names()
	pick := func() []string {
		var some []string
		for _, name := range names {
			if random.Intn(4) == 0 {
				some = append(some, `"`+name+`"`)
			}
		}
		return some
	}
	grants := map[string]scope.Set{
		"ada": catalog.All(), "olga": catalog.All().Minus(catalog.Admin()), "lena": scope.MustParse("project.list"),
	}
	actors := []string{"ada", "olga", "lena"}
	ids := []string{r.create("ada", "team-a", "first").Key.ID}
	gained := 0
	rounds := harness.Rounds(150, 20_000)
	for range rounds {
		actor, id := actors[random.Intn(3)], ids[random.Intn(len(ids))]
		before := scope.Set{}
		var got *reply
		var after key
		yields := false
		switch random.Intn(5) {
		case 0:
			got = r.do(actor, "POST", createA, `{"name":"x","permissions":[`+strings.Join(pick(), ",")+`]}`)
			if yields = true; got.StatusCode == http.StatusCreated {
				var m made
				got.Into(&m)
				after = m.Key
				ids = append(ids, m.Key.ID)
			}
		case 1, 2:
			held := r.read("ada", id)
			before = scope.MustParse(strings.Join(held.Permissions, " "))
			got = r.do(actor, "PATCH", "/keys/"+id, `{"permissions":[`+strings.Join(pick(), ",")+`]}`)
			if got.StatusCode == http.StatusOK {
				got.Into(&after)
			}
		case 3:
			got = r.do(actor, "POST", "/keys/"+id+"/rotate", `{"grace":0}`)
			if yields = true; got.StatusCode == http.StatusOK {
				var m made
				got.Into(&m)
				after = m.Key
			}
		default:
			r.do("ada", "POST", "/keys/"+id+"/disable", "").Wants(http.StatusOK)
			got = r.do(actor, "POST", "/keys/"+id+"/enable", "")
			if yields = true; got.StatusCode == http.StatusOK {
				got.Into(&after)
			}
		}
		if got.StatusCode >= 300 {
			got.problem(http.StatusForbidden, admin.CodeForbidden)
			continue
		}
		holds := scope.MustParse(strings.Join(after.Permissions, " "))
		if yields || !before.ContainsAll(holds) {
			gained++
			require.True(t, grants[actor].ContainsAll(holds), "B21 %s made a key hold %s", actor, holds)
		}
	}
	require.Greater(t, gained, rounds/10)
}

// TestGrantable: the answer lists what this actor may grant, and creation
// agrees with it permission by permission.
func TestGrantable(t *testing.T) {
	r := newRig(t)
	m := r.createWith("ada", "team-a", `{"name":"manager","permissions":["keys.save","admin.project.list","project.list"]}`)
	for actor, headers := range map[string][]string{
		"ada": {}, "olga": {}, "max": {}, "lena": {}, "a key": {"X-Key", m.Key.ID, "X-Scope", "keys.save admin.project.list project.list"},
	} {
		t.Run(actor, func(t *testing.T) {
			r := r.at(t)
			var got struct {
				Groups []struct {
					Title       string `json:"title"`
					Permissions []struct{ Name, Title, Description, Level string }
				} `json:"groups"`
			}
			r.do(actor, "GET", "/workspaces/team-a/permissions", "", headers...).Wants(http.StatusOK).Into(&got)
			listed := map[string]bool{}
			for _, group := range got.Groups {
				require.NotEmpty(t, group.Permissions)
				for _, p := range group.Permissions {
					listed[p.Name] = true
				}
			}
			for name := range catalog.All().All() {
				status := r.do(actor, "POST", createA, `{"name":"x","permissions":["`+name+`"]}`, headers...).StatusCode
				require.Equal(t, listed[name], status == http.StatusCreated, "%s: %d", name, status)
			}
		})
	}
	looks := r.createWith("ada", "team-a", `{"name":"looks","permissions":["keys.list"]}`)
	got := r.do("", "GET", "/workspaces/team-a/permissions", "", "X-Key", looks.Key.ID, "X-Scope", "keys.list").Wants(http.StatusOK)
	require.JSONEq(t, `{"groups":[]}`, got.Body)
}

// TestUnknownPermissionsAreNamedToWhoMayGrant: an actor who may grant gets the names of
// unknown permissions, whatever else is wrong. Other actors learn nothing of the catalog.
func TestUnknownPermissionsAreNamedToWhoMayGrant(t *testing.T) {
	r := newRig(t)
	m := r.create("ada", "team-a", "theirs")
	named := map[string]bool{"ada": true, "olga": true, "max": true, "lena": true}
	for _, actor := range []string{"ada", "olga", "max", "bert", "lena", "guest"} {
		for _, route := range []struct{ method, path, also string }{
			{"POST", "/workspaces/team-a/keys", ""},
			{"PATCH", "/keys/" + m.Key.ID, ""},
			{"POST", "/keys/" + m.Key.ID + "/rotate", `,"grace":60`},
		} {
			t.Run("B20 and B21 "+actor+" "+route.method+" "+route.path[:5], func(t *testing.T) {
				got := r.at(t).do(actor, route.method, route.path, strings.Replace(`{"name":"","permissions":["project.list","admin.project.list","no.such"]GRACE}`, "GRACE", route.also, 1))
				require.Contains(t, []int{404, 422}, got.StatusCode)
				require.Equal(t, named[actor], strings.Contains(got.Body, "no.such"), got.Body)
			})
		}
	}
}
