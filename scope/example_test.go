package scope_test

import (
	"encoding/json"
	"fmt"

	"github.com/latchkey-go/latchkey/scope"
)

func ExampleSet() {
	held, err := scope.Parse("project.read project.list invoice.list")
	if err != nil {
		fmt.Println(err)
		return
	}
	asked := scope.MustParse("project.list project.delete")
	fmt.Println("held:   ", held)
	fmt.Println("granted:", asked.Intersect(held))
	fmt.Println("missing:", asked.Minus(held))
	text, _ := json.Marshal(held)
	fmt.Println("as JSON:", string(text))
	// Output:
	// held:    invoice.list project.list project.read
	// granted: project.list
	// missing: project.delete
	// as JSON: ["invoice.list","project.list","project.read"]
}

func ExampleParse() {
	_, err := scope.Parse("project.list  project.read")
	fmt.Println(err)
	// Output:
	// position 13: permissions must be separated by a single space, without leading or trailing spaces
}

func ExampleCatalog() {
	catalog, err := scope.NewCatalog(
		scope.Group{Title: "Projects", Permissions: []scope.Permission{
			{Name: "project.list", Title: "List projects"},
			{Name: "project.read", Title: "Read a project"},
		}},
		scope.Group{Title: "Administration", Permissions: []scope.Permission{
			{Name: "admin.list", Title: "List every workspace", Level: scope.Admin},
		}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, group := range catalog.Groups() {
		fmt.Println(group.Title)
		for _, p := range group.Permissions {
			fmt.Printf("  %s: %s (%s)\n", p.Name, p.Title, p.Level)
		}
	}
	fmt.Println(catalog.Check(scope.MustParse("project.list project.erase user.list")))
	// Output:
	// Projects
	//   project.list: List projects (workspace)
	//   project.read: Read a project (workspace)
	// Administration
	//   admin.list: List every workspace (admin)
	// scope: unknown permission: project.erase, user.list
}

func ExampleCatalog_Expand() {
	catalog := scope.MustCatalog(scope.Group{Permissions: []scope.Permission{
		{Name: "project.list"},
		{Name: "project.read"},
		{Name: "project.member.list"},
		{Name: "admin.list", Level: scope.Admin},
	}})
	for _, pattern := range []string{"project.*", "*.list", "project.*.list", "admin.*"} {
		set, err := catalog.Expand(scope.MustParse(pattern), false)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(pattern, "is", set)
	}
	// Output:
	// project.* is project.list project.read
	// *.list is project.list
	// project.*.list is project.member.list
	// scope: unknown permission: admin.*
}
