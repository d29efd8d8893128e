package apikey_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/store"
	"github.com/latchkey-go/latchkey/store/memstore"
)

func TestNewNamesEveryField(t *testing.T) {
	_, err := apikey.New(store.Store{}, apikey.Config{Options: apikey.Options{
		SecretPrefixes: []string{"no underscore", "ok_", "ok_", ""},
		Peppers:        []apikey.Pepper{{Version: 1, Key: []byte("short")}, {Version: 0}},
		Withdrawn:      []string{"secret prefix ok_", "pepper", "something else", "seal key 1", "signer x"},
		TokenLifetime:  25 * time.Hour,
		DefaultRules:   store.Rules{MaxKeys: -1, MaxLifetime: time.Second},
	}})
	require.Error(t, err)
	for _, says := range []string{
		"Store.Keys is missing", "Store.Upkeep is missing", "Store.Settings is missing",
		"Store.Events is missing", "Store.Epochs is missing",
		"Config.Permissions is missing", "Config.SecretPrefixes[0]:", "Config.SecretPrefixes[2]: it is listed twice", "Config.SecretPrefixes[3]:",
		`Options.Withdrawn[1]: "pepper" names no`, `Options.Withdrawn[2]:`, "Store.HostLists is missing", "Store.Secrets is missing", "Store.Workspaces is missing",
		"Config.Peppers[0].Key: 5 bytes", "Config.Peppers[1].Version: 0",
		"Config.TokenLifetime is 25h0m0s; it must be from 1s to 24h0m0s",
		"Config.DefaultRules:", "max_keys", "max_lifetime",
	} {
		require.ErrorContains(t, err, says)
	}
	require.NotContains(t, err.Error(), "short", "a pepper's key")
	require.NotContains(t, err.Error(), "Options.Withdrawn[3]")
	require.NotContains(t, err.Error(), "Options.Withdrawn[4]")
}

func TestNewChecksManagement(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    apikey.Management
		says string
	}{
		{"unknown", apikey.Management{Save: "keys.make"}, `Config.Management.Save: "keys.make" is not in Config.Permissions`},
		{"B21 a plain permission that would reach every workspace", apikey.Management{AdminSave: "keys.save"}, `Config.Management.AdminSave: "keys.save" has level workspace`},
		{"B21 a plain permission to read settings", apikey.Management{ReadSettings: "keys.list"}, `Config.Management.ReadSettings: "keys.list" has level workspace`},
		{"B21 a plain permission to save settings", apikey.Management{SaveSettings: "keys.save"}, `Config.Management.SaveSettings: "keys.save" has level workspace`},
		{"B21 a plain permission to suspend workspaces", apikey.Management{SuspendWorkspaces: "keys.save"}, `Config.Management.SuspendWorkspaces: "keys.save" has level workspace`},
		{"an unknown permission to suspend workspaces", apikey.Management{SuspendWorkspaces: "admin.stop"}, `Config.Management.SuspendWorkspaces: "admin.stop" is not in Config.Permissions`},
		{"an admin permission for one workspace", apikey.Management{List: "admin.keys.list"}, `Config.Management.List: "admin.keys.list" has level admin`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Options: apikey.Options{Management: tc.m}})
			require.ErrorContains(t, err, tc.says)
		})
	}
}

func TestNewBoundsTokenLifetime(t *testing.T) {
	for lifetime, ok := range map[time.Duration]bool{
		0: true, time.Second: true, 24 * time.Hour: true,
		time.Second - 1: false, -time.Second: false, 24*time.Hour + 1: false,
	} {
		_, err := apikey.New(memstore.New(), apikey.Config{Permissions: catalog, Options: apikey.Options{TokenLifetime: lifetime, Peppers: []apikey.Pepper{pepper1}}})
		require.Equal(t, ok, err == nil, lifetime.String())
	}
}

func TestNewWarnsWithoutPepper(t *testing.T) {
	for _, tc := range []struct {
		name    string
		peppers []apikey.Pepper
		warns   int
	}{{"B01 none", nil, 1}, {"one", []apikey.Pepper{pepper1}, 0}} {
		t.Run(tc.name, func(t *testing.T) {
			var logs bytes.Buffer
			_, err := apikey.New(memstore.New(), apikey.Config{
				Permissions: catalog, Options: apikey.Options{Peppers: tc.peppers}, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
			})
			require.NoError(t, err)
			require.Equal(t, tc.warns, strings.Count(logs.String(), "pepper"))
		})
	}
}

func TestDefaults(t *testing.T) {
	r := newRig(t)
	key, secret := r.create(admin, "team-a", "project.list")
	grant := r.mustLogin(key.ID, secret)
	require.Equal(t, 5*time.Minute, grant.Expires.Sub(grant.IssuedAt))
	require.True(t, strings.HasPrefix(secret.Reveal(), "lk_"))
	require.Equal(t, catalog, r.Catalog())
	settings, err := r.Settings(t.Context(), admin)
	require.NoError(t, err)
	require.Equal(t, store.InstanceSettings{}, settings, "keys on, no limit, no required expiry")

	own := newRig(t, func(c *apikey.Config) { c.SecretPrefixes, c.TokenLifetime = []string{"acme_"}, time.Hour })
	key, secret = own.create(admin, "team-a", "")
	require.True(t, strings.HasPrefix(secret.Reveal(), "acme_"))
	grant = own.mustLogin(key.ID, secret)
	require.Equal(t, time.Hour, grant.Expires.Sub(grant.IssuedAt))
}
