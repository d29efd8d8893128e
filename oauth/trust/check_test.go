package trust_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/store"
)

func TestCheck(t *testing.T) {
	w := newWorld(t)
	w.entry.Title, w.entry.Shared, w.entry.OneOf = "Our CI", true, []string{"ref", "event"}
	w.entry.Claims[0].Prefix = 1 // so that * is possible for an id
	other := w.entry
	other.Name, other.Shared, other.OneOf = "other", false, nil
	l := w.list(other)
	const (
		wildcard = `In the value of ref, "*" may only be the whole last segment after / or :, behind at least 2 others.`
		id       = `Our CI gives identities to everybody; name one of project, without "*", because names can be taken over by others and ids cannot.`
	)
	seventeen := store.Trust{Issuer: "ci", Claims: make([]store.Claim, 17)}
	for name, c := range map[string]struct {
		trust store.Trust
		want  []string
	}{
		"good":                                {trusts("ci", "project", "42", "ref", "refs/heads/main"), nil},
		"B34 *":                               {trusts("ci", "project", "42", "ref", "refs/heads/*"), nil},
		"B34 * behind more":                   {trusts("ci", "project", "42", "ref", "refs/heads/a/*"), nil},
		"B34 * behind a colon":                {trusts("ci", "project", "42", "ref", "a:b:*"), nil},
		"an entry that is not shared":         {trusts("other", "event", "push"), nil},
		"other letters":                       {trusts("other", "event", "\u00fc\u4e16 x"), nil},
		"512 bytes":                           {trusts("other", "event", strings.Repeat("x", 512)), nil},
		"no entry":                            {trusts("none", "project", "42"), []string{"There is no such issuer; it must be one of ci, other."}},
		"the name of an entry in capitals":    {trusts("CI", "project", "42"), []string{"There is no such issuer; it must be one of ci, other."}},
		"B34 no claims":                       {trusts("ci"), []string{"Name 1 to 16 claims."}},
		"17 claims":                           {seventeen, []string{"Name 1 to 16 claims."}},
		"a claim that is not listed":          {trusts("other", "event", "x", "sub", "y"), []string{`Our CI has no claim that is called "sub"; it must be one of project, ref, event, uid.`}},
		"a long name that is not listed":      {trusts("other", strings.Repeat("n", 64), "y"), []string{`Our CI has no claim that is called "` + strings.Repeat("n", 64) + `"; it must be one of project, ref, event, uid.`}},
		"a name of 65 bytes":                  {trusts("other", strings.Repeat("n", 65), "y"), []string{"The name of a claim must have 1 to 64 printable bytes."}},
		"1,024 bytes together":                {trusts("other", "event", strings.Repeat("x", 512), "uid", strings.Repeat("x", 504)), nil},
		"1,025 bytes together":                {trusts("other", "event", strings.Repeat("x", 512), "uid", strings.Repeat("x", 505)), []string{"The names and values of the claims must have at most 1024 bytes together."}},
		"a claim twice":                       {trusts("other", "event", "x", "event", "x"), []string{"The claim event is named twice."}},
		"a claim without a name":              {trusts("other", "", "x"), []string{"The name of a claim must have 1 to 64 printable bytes."}},
		"an empty value":                      {trusts("other", "event", ""), []string{"The value of event must have 1 to 512 printable bytes."}},
		"513 bytes":                           {trusts("other", "event", strings.Repeat("x", 513)), []string{"The value of event must have 1 to 512 printable bytes."}},
		"a line break":                        {trusts("other", "event", "a\nb"), []string{"The value of event must have 1 to 512 printable bytes."}},
		"not UTF-8":                           {trusts("other", "event", "a\xff"), []string{"The value of event must have 1 to 512 printable bytes."}},
		"a direction override":                {trusts("other", "event", "a\u202eb"), []string{"The value of event must have 1 to 512 printable bytes."}},
		"B34 * alone":                         {trusts("other", "ref", "*"), []string{wildcard}},
		"B34 * for a part of a segment":       {trusts("other", "ref", "refs/heads/ma*"), []string{wildcard}},
		"B34 * behind too few":                {trusts("other", "ref", "refs/*"), []string{wildcard}},
		"B34 * behind empty segments":         {trusts("other", "ref", "refs//*"), []string{wildcard}},
		"B34 * in the middle":                 {trusts("other", "ref", "refs/*/main"), []string{wildcard}},
		"B34 two of *":                        {trusts("other", "ref", "refs/*/*"), []string{wildcard}},
		"B34 * of a claim without Prefix":     {trusts("other", "event", "a/b/*"), []string{`The value of event may not contain "*".`}},
		"B34 shared without an id":            {trusts("ci", "ref", "refs/heads/main"), []string{id}},
		"B34 shared with * in place of an id": {trusts("ci", "project", "42/*", "ref", "refs/heads/main"), []string{id}},
		"none of OneOf":                       {trusts("ci", "project", "42"), []string{"Name at least one of ref, event."}},
		"several problems":                    {trusts("ci", "uid", "u*"), []string{`The value of uid may not contain "*".`, id, "Name at least one of ref, event."}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, l.Check(c.trust)) })
	}
}
