package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/scope"
)

func TestCatalog(t *testing.T) {
	catalog := newCatalog()
	titles := map[string]bool{}
	for name := range catalog.All().All() {
		p, _ := catalog.Lookup(name)
		require.Equal(t, strings.HasPrefix(name, "ADM_"), p.Level == scope.Admin, "%s: %s", name, p.Level)
		require.False(t, titles[p.Title], "%s: a second %q", name, p.Title)
		require.False(t, strings.HasPrefix(p.Title, " "), "%s: no verb", name)
		titles[p.Title] = true
	}
	require.Len(t, titles, 136)
	for _, name := range []string{"APIKEY_SAVE", "ADM_WORKSPACE_LIST", "MANAGED_TFSTATE_DELETE", "ADM_REVIEW_PUBLICATION", "MANAGED_TENANT_IMPORT", "ADM_TENANTDELETION_APPROVE"} {
		_, known := catalog.Lookup(name)
		require.True(t, known, name)
	}
}

func Example_titleOf() {
	fmt.Println(titleOf("APIKEY_LIST", "API keys"))
	fmt.Println(titleOf("ADM_TENANT_SAVE", "Tenants"))
	fmt.Println(titleOf("MANAGED_TFSTATE_DELETE", "Terraform states"))
	fmt.Println(titleOf("MANAGED_TENANTDELETION_APPROVE", "Tenants"))
	// Output:
	// List API keys
	// Create and change tenants in every workspace
	// Delete Terraform states of one's own definitions
	// Approve deletions of tenants of one's own platforms
}
