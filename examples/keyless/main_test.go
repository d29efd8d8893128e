package main

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// The issuer and the jobs run in processes of their own.
func TestKeyless(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	for _, want := range []string{
		"a job of this repository: logged in\n",
		"a job of this repository: called: 200 OK the projects of team-a\n",
		"a job of another repository: job: log in: 401 Unauthorized invalid_client\n",
		"The trust is retired.\nthe first job, with its token: called: 401 Unauthorized",
		"a new job of this repository: job: log in: 401 Unauthorized invalid_client\nAll steps succeeded.\n",
	} {
		require.Contains(t, out.String(), want)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ctx, &bytes.Buffer{}), context.Canceled)
}
