package migrate_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/migrate"
	"github.com/latchkey-go/latchkey/scope"
)

// lister maps each row to a key that may list projects, in the workspace of the row.
func lister(migrate.Client) (apikey.Spec, error) {
	return apikey.Spec{Permissions: scope.MustParse("project.list")}, nil
}

// sum is the SHA-256 of a secret in hex.
func sum(secret string) string {
	of := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(of[:])
}

// declared declares the secrets of all keys random.
func declared(r migrate.Result) migrate.Result {
	for i := range r.Keys {
		r.Keys[i].Generated = true
	}
	return r
}

const (
	oneSecret = "tq_5hVbW9mXz3Kd8RfPy2Nc7"
	twoSecret = "tq_Lw4Rt8Zp1Bn6Yc3K7dQ9vX"
)

func TestTable(t *testing.T) {
	two := sha256.Sum256([]byte(twoSecret))
	for name, export := range map[string]struct {
		read reader
		text string
	}{
		"CSV": {migrate.CSV, "\ufeffSHA256 , name,id,expires,workspace,created\r\n" +
			sum(oneSecret) + `,"nightly ""report"", old",k-17, 2027-01-31,team-a,2024-03-01` + "\r\n\r\n" +
			base64.StdEncoding.EncodeToString(two[:]) + `,,k-18,,team-b,2024-03-01T10:00:00+02:00`},
		"JSON lines": {migrate.JSONLines, `{"id":"k-17","workspace":"team-a","name":"nightly \"report\", old","sha256":"` + sum(oneSecret) + `","created":"2024-03-01","expires":"2027-01-31"}` + "\n\n" +
			`{"sha256":"` + base64.RawURLEncoding.EncodeToString(two[:]) + `","id":"k-18","workspace":"team-b","created":"2024-03-01T10:00:00+02:00","expires":null}` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []migrate.Client
			found, err := export.read(strings.NewReader(export.text), func(c migrate.Client) (apikey.Spec, error) {
				seen = append(seen, c)
				return lister(c)
			})
			require.NoError(t, err)
			require.Empty(t, found.Skipped)
			require.Len(t, found.Keys, 2)
			require.Equal(t, "2024-03-01", seen[0].Created)
			require.Equal(t, "2024-03-01T10:00:00+02:00", seen[1].Created)
			first, second := found.Keys[0], found.Keys[1]
			require.Equal(t, []string{"k-17", "team-a", `nightly "report", old`, "2027-01-31"}, []string{first.ID, first.Workspace, first.Name, first.Expiry.String()})
			require.Equal(t, []string{"k-18", "team-b", "k-18", ""}, []string{second.ID, second.Workspace, second.Name, second.Expiry.String()})
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", found, found, found), sum(oneSecret), "B11")
			try := login(t, declared(found))
			require.NoError(t, try("k-17", oneSecret))
			require.NoError(t, try("k-18", twoSecret))
			require.ErrorIs(t, try("k-17", twoSecret), apikey.ErrInvalidCredentials)
		})
	}
	t.Run("the mapping's workspace comes first", func(t *testing.T) {
		found, err := migrate.CSV(strings.NewReader("id,sha256,workspace\nk-17,"+sum(oneSecret)+",42"), func(c migrate.Client) (apikey.Spec, error) {
			return apikey.Spec{Workspace: "team-" + c.Workspace}, nil
		})
		require.NoError(t, err)
		require.Equal(t, "team-42", found.Keys[0].Workspace)
	})
}

// TestTableSkips tests that a line that cannot be read is named, and that the lines
// around it are not lost.
func TestTableSkips(t *testing.T) {
	good := sum(oneSecret)
	csvLine := func(id string) string { return id + "," + good + ",team-a,,," }
	jsonLine := func(id string) string { return `{"id":"` + id + `","workspace":"team-a","sha256":"` + good + `"}` }
	long := strings.Repeat("x", 65_536)
	for _, tc := range []struct{ name, line, id, says string }{
		{"CSV: fewer columns", "k," + good, "#2", "Line 3: It cannot be read: it has 2 columns, and the first line has 6."},
		{"CSV: a quote that is not closed", `k,` + good + `,"team-a,,,`, "#2", "Line 3: It cannot be read: column "},
		{"CSV: a quote within a value", `k,` + good + `,te"am,,,`, "#2", "Line 3: It cannot be read: column 70: bare"},
		{"CSV: an id twice", csvLine("before"), "before", "Line 3: An earlier client of this export has the same id."},
		{"CSV: no id", csvLine(" "), "#2", "Line 3: It has no id."},
		{"CSV: no sha256", "k,,team-a,,,", "k", "Line 3: Column sha256: a SHA-256 has 64"},
		{"CSV: a secret for its sha256", "k," + twoSecret + ",team-a,,,", "k", "Line 3: Column sha256: a SHA-256 has 64"},
		{"CSV: no time", "k," + good + ",team-a,,,soon", "k", "Line 3: Column expires is neither"},
		{"CSV: a time of another form", "k," + good + ",team-a,,,2027-01-31 10:00:00", "k", "Line 3: Column expires is neither"},
		{"B11 CSV: a secret for a time", "k," + good + ",team-a,,," + twoSecret, "k", "Line 3: Column expires is neither"},
		{"CSV: what the mapping refuses", csvLine("refused"), "refused", "Line 3: The host's mapping skipped it: not this one."},
		{"CSV: too long", csvLine(long), "#2", "Line 3: It cannot be read: it is longer than 65536 bytes."},
		{"CSV: much too long", csvLine(strings.Repeat(long, 5)), "#2", "Line 3: It cannot be read: it is longer"},
		{"JSON: no JSON", `{"id":"k"`, "#2", "Line 3: It cannot be read: "},
		{"JSON: an array", `[` + jsonLine("k") + `]`, "#2", "Line 3: It cannot be read: "},
		{"JSON: two objects", jsonLine("k") + jsonLine("l"), "#2", "Line 3: It cannot be read: "},
		{"JSON: an unknown member", strings.Replace(jsonLine("k"), `"workspace"`, `"expire":"2027-01-31","workspace"`, 1), "#2", `member "expire": unknown member`},
		{"JSON: a member twice", strings.Replace(jsonLine("k"), `"workspace"`, `"id":"l","workspace"`, 1), "#2", "appears twice"},
		{"JSON: no sha256", `{"id":"k"}`, "k", "Line 3: Column sha256: a SHA-256 has 64"},
		{"JSON: an id that is a number", strings.Replace(jsonLine("k"), `"k"`, `17`, 1), "#2", "Line 3: It cannot be read: each value must be a text or null."},
		{"JSON: an id twice", jsonLine("before"), "before", "Line 3: An earlier client"},
		{"JSON: an empty id", jsonLine(""), "#2", "Line 3: It has no id."},
		{"B11 JSON: a secret for a time", strings.Replace(jsonLine("k"), `"workspace"`, `"expires":"`+twoSecret+`","workspace"`, 1), "k", "Line 3: Column expires is neither"},
		{"JSON: too long", jsonLine(long), "#2", "Line 3: It cannot be read: it is longer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			read, text := migrate.CSV, "id,sha256,workspace,name,created,expires\n"+csvLine("before")+"\n"+tc.line+"\n"+csvLine("after")
			if strings.Contains(tc.name, "JSON") {
				read, text = migrate.JSONLines, "\n"+jsonLine("before")+"\n"+tc.line+"\n"+jsonLine("after")
			}
			found, err := read(strings.NewReader(text), func(c migrate.Client) (apikey.Spec, error) {
				if c.ID == "refused" {
					return apikey.Spec{}, errors.New("not this one")
				}
				return lister(c)
			})
			require.NoError(t, err)
			require.Len(t, found.Keys, 2, "before and after")
			require.Len(t, found.Skipped, 1)
			require.Equal(t, tc.id, found.Skipped[0].ID)
			require.Contains(t, found.Skipped[0].Reason, tc.says)
			require.NotContains(t, found.Skipped[0].Reason, twoSecret[:12])
			require.NotContains(t, found.Skipped[0].Reason, good[:12])
		})
	}
}

func TestTableFails(t *testing.T) {
	good := sum(oneSecret)
	for _, tc := range []struct{ name, text, says string }{
		{"nothing", "", "the first line must name the columns"},
		{"a row for the header", "k-17," + good + "\n", "line 1: column 1 is none of id, workspace"},
		{"an unknown column", "id,sha256,expire\n", "line 1: column 3 is none of"},
		{"a column twice", "id,sha256,ID\n", "line 1: column 3 is none of"},
		{"semicolons", "id;sha256\n", "separated by commas"},
		{"no sha256", "\nid,workspace\n", "line 2: the first line must name the columns, and id and sha256"},
		{"no id", "sha256\n", "id and sha256 among them"},
		{"a header that is too long", "id,sha256," + strings.Repeat("x", 65_536), "line 1: the first line must name"},
		{"a header with a stray quote", `id,sha"256`, "line 1: column 7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, err := migrate.CSV(strings.NewReader(tc.text), lister)
			require.ErrorContains(t, err, tc.says)
			require.NotContains(t, err.Error(), good[:12])
			require.Empty(t, found)
		})
	}
	broken := errors.New("the disk failed")
	for name, read := range map[string]struct {
		reader
		begin, cut string
	}{
		"CSV":        {migrate.CSV, "id,sha256,workspace,expires\nk-17," + good + ",team-a,\n", "k-18," + good + ",team-b,2027-01-31"},
		"JSON lines": {migrate.JSONLines, `{"id":"k-17","workspace":"team-a","sha256":"` + good + `"}` + "\n", `{"id":"k-18","sha256":"` + good + `"}`},
	} {
		t.Run("an error in the middle of a line, "+name, func(t *testing.T) {
			found, err := read.reader(io.MultiReader(strings.NewReader(read.begin+read.cut), iotest.ErrReader(broken)), lister)
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, "migrate: line ")
			require.Len(t, found.Keys, 1, "what was cut off is not a row")
		})
		t.Run("without a mapping, "+name, func(t *testing.T) {
			_, err := read.reader(strings.NewReader(read.begin), nil)
			require.ErrorContains(t, err, "Mapping")
		})
	}
	t.Run("B01 without a declaration nothing is imported", func(t *testing.T) {
		found, err := migrate.CSV(strings.NewReader("id,sha256,workspace\nk-17,"+good+",team-a"), lister)
		require.NoError(t, err)
		require.False(t, found.Keys[0].Generated)
	})
}

// FuzzTable tests that what is read can be found in the input, that each line with a
// row is either a key or skipped, and that no reason repeats a SHA-256.
func FuzzTable(f *testing.F) {
	good := sum(oneSecret)
	f.Add("id,sha256,workspace,name,created,expires\nk-17,"+good+",team-a,x,2024-03-01,2027-01-31\n,,,,,\n", true)
	f.Add("sha256,id\n"+good+",\"a\"\"b\"\n\n"+good, true)
	f.Add(`{"id":"k-17","workspace":"team-a","sha256":"`+good+`","expires":null}`+"\n[]\n", false)
	f.Fuzz(func(t *testing.T, text string, asCSV bool) {
		read, lines := migrate.JSONLines, 0
		for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
		if asCSV {
			read, lines = migrate.CSV, lines-1
		}
		found, err := read(strings.NewReader(text), lister)
		if err != nil {
			if len(found.Keys)+len(found.Skipped) > 0 || strings.Contains(err.Error(), good) {
				t.Fatal("an error and a result, or an error with a digest")
			}
			return
		}
		if len(found.Keys)+len(found.Skipped) != lines {
			t.Fatalf("%d keys and %d skipped of %d lines", len(found.Keys), len(found.Skipped), lines)
		}
		ids := map[string]bool{}
		for _, key := range found.Keys {
			if key.ID == "" || ids[key.ID] || key.SHA256 == "" || key.Secret+key.Digest != "" || key.Generated {
				t.Fatal("not as documented", key)
			}
			ids[key.ID] = true
		}
		for _, skipped := range found.Skipped {
			if !strings.HasPrefix(skipped.Reason, "Line ") || skipped.ID == "" || strings.Contains(skipped.Reason, good) {
				t.Fatal(skipped)
			}
		}
	})
}
