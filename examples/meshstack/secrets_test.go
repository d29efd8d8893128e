package main

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSecretsRace: replicas that start at once all use the file that one of them created.
func TestSecretsRace(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "secrets")
	all := make([]*secrets, 16)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i], errs[i] = loadSecrets(file, false) })
	}
	wg.Wait()
	for i := range all {
		require.NoError(t, errs[i])
		require.Equal(t, all[0], all[i])
	}
	require.NotEqual(t, &secrets{}, all[0])
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1, "no draft is left")
	info, err := left[0].Info()
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, err := loadSecrets(file, false)
	require.NoError(t, err)
	require.Equal(t, all[0], again)
	inMemory, err := loadSecrets(file, true)
	require.NoError(t, err)
	require.NotEqual(t, all[0], inMemory)
}
