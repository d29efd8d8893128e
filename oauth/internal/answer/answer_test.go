package answer_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/answer"
)

// TestTable checks that each row has its texts, and that PROBLEMS.md explains each
// problem type.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../../admin/PROBLEMS.md")
	require.NoError(t, err)
	titles := map[string]string{}
	for kind := answer.Failed; kind < answer.Kinds; kind++ {
		row := kind.Row()
		t.Run(row.Problem, func(t *testing.T) {
			require.NotEmpty(t, row.Problem)
			require.False(t, strings.HasSuffix(row.Problem, "."))
			for _, text := range []string{row.Remedy, row.PageRemedy} {
				require.True(t, text == "" || strings.HasSuffix(text, "."), text)
			}
			require.Positive(t, row.OAuth.Status+row.Manage.Status)
			for _, wire := range []answer.Wire{row.OAuth, row.Manage} {
				require.Equal(t, wire.Status == 0, wire.Code == "")
				require.True(t, wire.Status == 0 || http.StatusText(wire.Status) != "" && wire.Status >= 400)
			}
			if row.Manage.Code == "" || kind == answer.StaleForm { // of pages
				return
			}
			require.Contains(t, string(page), "\n## "+row.Manage.Code+"\n")
			if title, known := titles[row.Manage.Code]; known {
				require.Equal(t, title, row.Problem, "one title for all of one type")
			}
			titles[row.Manage.Code] = row.Problem
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		kind answer.Kind
		wait time.Duration
		want string
	}{
		{answer.Throttled, 0, ""}, {answer.Throttled, 1, "1"}, {answer.Throttled, time.Second, "1"}, {answer.Throttled, time.Second + 1, "2"},
		{answer.Unavailable, 0, "1"}, {answer.Unavailable, 5 * time.Second, "5"}, {answer.Unavailable, -time.Second, "1"},
	} {
		header := http.Header{}
		(&answer.Refusal{Kind: tc.kind, RetryAfter: tc.wait}).SetRetryAfter(header)
		require.Equal(t, tc.want, header.Get("Retry-After"), "%v %v", tc.kind, tc.wait)
	}
}

func TestWriteOAuth(t *testing.T) {
	for _, tc := range []struct {
		refusal answer.Refusal
		want    string
	}{
		{answer.Refusal{Kind: answer.Credentials}, `{"error":"invalid_client","error_description":"The client id, the secret or the assertion is wrong."}`},
		{answer.Refusal{Kind: answer.Throttled}, `{"error":"temporarily_unavailable","error_description":"Too many failed logins. Wait, then try again with the right credentials."}`},
		{answer.Refusal{Kind: answer.Denied, Detail: "a\"b\\c\r\nd é"}, `{"error":"unauthorized_client","error_description":"a'b'c??d ?"}`},
	} {
		w := httptest.NewRecorder()
		tc.refusal.WriteOAuth(w)
		require.Equal(t, tc.want+"\n", w.Body.String())
	}
}
