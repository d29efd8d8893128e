package strictjson_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

var known = []string{"clientId", "clientSecret", "scope"}

func TestMembers(t *testing.T) {
	object, err := strictjson.Members([]byte(" {\"clientId\" : \"a\\u0062\",\n\"x\":[1,{\"y\":null}] , \"\\u0073cope\":\"s\",\"clientSecret\":-0.5e+3 } \n"), known)
	require.NoError(t, err)
	require.Equal(t, strictjson.Object{
		{Name: "clientId", Value: json.RawMessage(`"a\u0062"`)},
		{Name: "x", Value: json.RawMessage(`[1,{"y":null}]`)},
		{Name: "scope", Value: json.RawMessage(`"s"`)},
		{Name: "clientSecret", Value: json.RawMessage(`-0.5e+3`)},
	}, object)
	value, ok := object.Get("clientId")
	require.True(t, ok)
	text, err := strictjson.String(value)
	require.NoError(t, err)
	require.Equal(t, "ab", text)
	_, ok = object.Get("absent")
	require.False(t, ok)

	value, ok = object.Get("x")
	require.True(t, ok)
	require.Equal(t, len(value), cap(value), "nothing of what follows can be reached by it")
	_, err = strictjson.Members([]byte(`{"a":"\ud83d\uDE00 \\ud800 \" \ufffd","b":[{},[],{"a":"}"}]}`), known)
	require.NoError(t, err)

	empty, err := strictjson.Members([]byte("{}"), nil)
	require.NoError(t, err)
	require.Empty(t, empty)
}

func TestRefused(t *testing.T) {
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	_, err := strictjson.Members([]byte(deep(strictjson.MaxDepth-1)), known)
	require.NoError(t, err)

	many := func(extra string) string {
		var b strings.Builder
		for i := range 100 {
			fmt.Fprintf(&b, `"n%d":1,`, i)
		}
		return "{" + b.String() + extra + "}"
	}
	_, err = strictjson.Members([]byte(many(`"n100":1`)), known)
	require.NoError(t, err)

	tests := []struct {
		name, input, member, reason string
	}{
		{"B13 duplicate", `{"clientId":1,"clientId":1}`, "clientId", "twice"},
		{"B13 duplicate unknown", `{"x":1,"x":1}`, "x", "twice"},
		{"B13 duplicate, one escaped", `{"clientId":1,"client\u0049d":1}`, "clientId", "twice"},
		{"B13 duplicate far behind", many(`"n0":1`), "n0", "twice"},
		{"B13 duplicate between others", many(`"n50":1`), "n50", "twice"},
		{"B13 duplicate inside", `{"x":{"y":[{"z":1,"z":2}]}}`, "z", "twice"},
		{"B13 case variant", `{"clientSecret":"bad","CLIENTSECRET":"good"}`, "CLIENTSECRET", "case"},
		{"B13 case variant alone", `{"clientid":"x"}`, "clientid", "case"},
		{"B13 case variant, escaped", `{"\u0043lientId":"x"}`, "ClientId", "case"},
		{"B13 long s folds to s", `{"ſcope":"x"}`, "ſcope", "case"},
		{"B13 NUL", `{"clientId\u0000":"x"}`, "clientId\x00", "NUL"},
		{"B13 NUL inside", `{"x":{"a\u0000":1}}`, "a\x00", "NUL"},
		{"6749-27 byte order mark", "\ufeff{}", "", "byte order mark"},
		{"6749-27 trailing bytes", `{}x`, "", "syntax"},
		{"6749-27 two objects", `{}{}`, "", "syntax"},
		{"6749-27 NUL after it", "{}\x00", "", "syntax"},
		{"6749-27 array", `[]`, "", "object was expected"},
		{"6749-27 null", `null`, "", "object was expected"},
		{"6749-27 number", `1`, "", "object was expected"},
		{"6749-27 string", `"x"`, "", "object was expected"},
		{"empty", ``, "", "syntax"},
		{"B12 too deep", deep(strictjson.MaxDepth), "", "deep"},
		{"B12 far too deep", deep(9_000), "", "deep"},
		{"B12 deeper than encoding/json goes, without end", `{"x":` + strings.Repeat("[", 1_000_000), "", "syntax"},
		{"B12 objects too deep", strings.Repeat(`{"x":`, 33) + "1" + strings.Repeat("}", 33), "", "deep"},
		{"not UTF-8 in a value", "{\"x\":\"\xff\"}", "", "UTF-8"},
		{"not UTF-8 in a name", "{\"\xc3\x28\":1}", "", "UTF-8"},
		{"half a pair in a name inside", `{"x":[{"\udc00":1}]}`, "", "surrogate"},
		{"half a pair after an escaped backslash", `{"x":"\\\ud800"}`, "", "surrogate"},
		{"half a pair at the end", `{"x":"\ud83d\\u"}`, "", "surrogate"},
		{"half a pair, then another escape", `{"x":"\ud83d\n"}`, "", "surrogate"},
		{"first half twice", `{"x":"\ud83d\ud83d"}`, "", "surrogate"},
		{"surrogate as UTF-8", "{\"x\":\"\xed\xa0\x80\"}", "", "UTF-8"},
		{"half a pair", `{"x":"\ud800"}`, "", "surrogate"},
		{"half a pair, then text", `{"x":"\ud800\u0041"}`, "", "surrogate"},
		{"half a pair, then text like the other half", `{"x":"\ud83dxudc00"}`, "", "surrogate"},
		{"second half first", `{"x":"\udc00\ud800"}`, "", "surrogate"},
		{"names that are both half a pair", `{"\ud800":1,"\ud801":2}`, "", "surrogate"},
		{"line break in a string", "{\"x\":\"\n\"}", "", "syntax"},
		{"unknown escape", `{"x":"\x41"}`, "", "syntax"},
		{"short escape", `{"x":"\u00"}`, "", "syntax"},
		{"string without end", `{"x":"`, "", "syntax"},
		{"escape without end", `{"x":"\`, "", "syntax"},
		{"single quotes", `{'x':1}`, "", "syntax"},
		{"bare name", `{x:1}`, "", "syntax"},
		{"comma at the end", `{"x":1,}`, "", "syntax"},
		{"comma at the end of an array", `{"x":[1,]}`, "", "syntax"},
		{"no colon", `{"x" 1}`, "", "syntax"},
		{"no comma", `{"x":1 "y":2}`, "", "syntax"},
		{"no end", `{"x":1`, "", "syntax"},
		{"leading zero", `{"x":01}`, "", "syntax"},
		{"plus", `{"x":+1}`, "", "syntax"},
		{"no digits", `{"x":-}`, "", "syntax"},
		{"no fraction", `{"x":1.}`, "", "syntax"},
		{"no exponent", `{"x":1e}`, "", "syntax"},
		{"NaN", `{"x":NaN}`, "", "syntax"},
		{"half a literal", `{"x":tru}`, "", "syntax"},
		{"comment", `{/**/"x":1}`, "", "syntax"},
		{"form feed as space", "{\f}", "", "syntax"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := strictjson.Members([]byte(test.input), known)
			var refused *strictjson.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.member, refused.Name)
			require.Contains(t, refused.Reason, test.reason)
			require.Less(t, len(err.Error()), 200)
		})
	}
}

func TestOnly(t *testing.T) {
	_, err := strictjson.Only([]byte(`{"clientId":1,"scope":2}`), known)
	require.NoError(t, err)
	_, err = strictjson.Only([]byte(`{"clientId":1,"color":2}`), known)
	var refused *strictjson.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "color", refused.Name)
	require.Contains(t, refused.Reason, "unknown")
	_, err = strictjson.Only([]byte(`{"color":2}`), nil)
	require.ErrorAs(t, err, &refused, "where no name is known, all are unknown")
	_, err = strictjson.Only([]byte(`{"`+strings.Repeat("c", 10_000)+`":2}`), known)
	require.Less(t, len(err.Error()), 200)
}

func TestElements(t *testing.T) {
	elements, err := strictjson.Elements([]byte(` [ 1 , "a",{"b":[]}, null ] `))
	require.NoError(t, err)
	require.Equal(t, []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"a"`), json.RawMessage(`{"b":[]}`), json.RawMessage(`null`)}, elements)
	for _, input := range []string{``, `{}`, `[`, `[1`, `[1,]`, `[]]`, `[{"a":1,"a":2}]`, "[\"\xff\"]"} {
		_, err := strictjson.Elements([]byte(input))
		require.Error(t, err, input)
	}
}

type part struct {
	Name string          `json:"name,omitempty"`
	Any  json.RawMessage `json:"any,omitempty"`
}

type whole struct {
	One  part             `json:"one,omitzero"`
	List []*part          `json:"list,omitempty"`
	Map  map[string]*part `json:"map,omitempty"`
	When time.Time        `json:"when,omitzero"`
}

func TestUnmarshal(t *testing.T) {
	const good = `{"one":{"name":"a","any":{"Name":[{"NAME":1}]}},"list":[{"name":"b"},null],"map":{"Name":{"name":"c"}}}`
	for _, read := range []func([]byte, any) error{strictjson.Unmarshal, strictjson.UnmarshalOnly} {
		var w whole
		require.NoError(t, read([]byte(good), &w))
		require.Equal(t, whole{
			One: part{"a", json.RawMessage(`{"Name":[{"NAME":1}]}`)}, List: []*part{{Name: "b"}, nil},
			Map: map[string]*part{"Name": {Name: "c"}},
		}, w)
		for input, want := range map[string][2]string{
			`{"One":{}}`:                    {"One", "case"},
			`{"one":{"Name":"x"}}`:          {"Name", "case"},
			`{"list":[{},{"NAME":1}]}`:      {"NAME", "case"},
			`{"map":{"x":{"nAme":"x"}}}`:    {"nAme", "case"},
			`{"one":{"any":{"x":1,"x":2}}}`: {"x", "twice"},
			`{"one":{},"one":{}}`:           {"one", "twice"},
			`{"one":7}`:                     {"one", "wrong type"},
			`{"one":{"name":["secret"]}}`:   {"one.name", "wrong type"},
			`{"when":"then"}`:               {"", "a time is not in the form of RFC 3339"},
			`7`:                             {"", "object was expected"},
			`null`:                          {"", "object was expected"}, `[]`: {"", "object was expected"},
			`{`:                         {"", "syntax"},
			"\ufeff{}":                  {"", "byte order mark"},
			`{"one":{"name":"\ud800"}}`: {"", "surrogate"},
		} {
			err := read([]byte(input), new(whole))
			var refused *strictjson.Error
			require.ErrorAs(t, err, &refused, input)
			require.Equal(t, want[0], refused.Name, input)
			require.Contains(t, refused.Reason, want[1], input)
			require.NotContains(t, err.Error(), "secret")
		}
	}
	for _, input := range []string{`{"two":1}`, `{"one":{"two":1}}`, `{"list":[{},{"two":1}]}`, `{"map":{"two":{"two":1}}}`} {
		require.NoError(t, strictjson.Unmarshal([]byte(input), new(whole)), input)
		err := strictjson.UnmarshalOnly([]byte(input), new(whole))
		require.EqualError(t, err, `JSON: member "two": unknown member`, input)
	}
}

// A member that is always written must be there, at any depth. Unmarshal does not ask for
// it.
func TestMissing(t *testing.T) {
	type inner struct {
		ID     string `json:"id"`
		Hidden string `json:"-"`
	}
	type outer struct {
		Inner inner             `json:"inner,omitzero"`
		List  []*inner          `json:"list"`
		Map   map[string]*inner `json:"map,omitempty"`
	}
	for input, want := range map[string]string{
		`{"list":[],"inner":{"id":""},"map":{}}`: "",
		`{"list":null}`:                          "",
		`{}`:                                     `JSON: member "list": is missing`,
		`{"inner":{"id":"x"}}`:                   `JSON: member "list": is missing`,
		`{"list":[],"inner":{}}`:                 `JSON: member "id": is missing`,
		`{"list":[{"id":"x"},{}]}`:               `JSON: member "id": is missing`,
		`{"list":[],"map":{"id":{}}}`:            `JSON: member "id": is missing`,
		`{"list":[{"id":"x","-":"x"}]}`:          `JSON: member "-": unknown member`,
		`{"list":[{"id":"x","Hidden":"x"}]}`:     `JSON: member "Hidden": unknown member`,
	} {
		require.NoError(t, strictjson.Unmarshal([]byte(input), new(outer)), input)
		err := strictjson.UnmarshalOnly([]byte(input), new(outer))
		if want == "" {
			require.NoError(t, err, input)
			continue
		}
		require.EqualError(t, err, want, input)
	}
}

// FuzzUnmarshal: encoding/json reads the same values from the members with exactly these
// names, and UnmarshalOnly accepts nothing that Unmarshal refuses.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"one":{"name":"a","any":{"Name":[{"NAME":1}]}},"list":[{"name":"b"},null],"map":{"Name":{"name":"c"}}}`))
	f.Add([]byte(`{"when":"2026-07-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs whole
		only := strictjson.UnmarshalOnly(data, new(whole))
		if err := strictjson.Unmarshal(data, &ours); err != nil {
			if only == nil {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for _, name := range []string{"one", "list", "map", "when"} {
			value, there := members[name]
			if !there {
				continue
			}
			if err := json.Unmarshal([]byte(`{"`+name+`":`+string(value)+`}`), &theirs); err != nil {
				t.Fatalf("%q: %v", data, err)
			}
		}
		first, err := json.Marshal(ours)
		second, bad := json.Marshal(theirs)
		if err != nil || bad != nil || string(first) != string(second) {
			t.Fatalf("%v, %v: %s, and %s", err, bad, first, second)
		}
	})
}

func TestString(t *testing.T) {
	for _, input := range []string{``, `"`, `null`, `1`, `["a"]`, `true`} {
		_, err := strictjson.String(json.RawMessage(input))
		require.Error(t, err, input)
	}
}

// The time must grow linearly with the input.
func TestManyNames(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		b.WriteString(`,"n` + strconv.Itoa(i) + `":{}`)
	}
	object, err := strictjson.Members([]byte("{"+b.String()[1:]+"}"), known)
	require.NoError(t, err)
	require.Len(t, object, 100_000)
}

// FuzzMembers: encoding/json accepts what Members accepts, and reads the same.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"clientId":"a","x":[1,{"y":null}],"\u0073cope":"s"}`, `{"a":1,"A":2}`, `{"a":"\ud83d\ude00"}`,
		`{"a":-0.1E-7,"b":true,"c":false}`, `{"x":{"x":{"x":{}}}}`, "\ufeff{}", `{"a":1,"a":1}`, `{"\ud800":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := strictjson.Members(data, known)
		if err != nil {
			return
		}
		var theirs map[string]json.RawMessage
		if err := json.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", data, err)
		}
		if len(theirs) != len(object) {
			t.Fatalf("%d members, encoding/json has %d: %q", len(object), len(theirs), data)
		}
		for _, m := range object {
			if string(theirs[m.Name]) != string(m.Value) {
				t.Fatalf("%q is %q, for encoding/json %q", m.Name, m.Value, theirs[m.Name])
			}
			if text, err := strictjson.String(m.Value); err == nil {
				var other string
				if err := json.Unmarshal(m.Value, &other); err != nil || other != text {
					t.Fatalf("%q is %q, for encoding/json %q (%v)", m.Value, text, other, err)
				}
			}
		}
		// encoding/json must also read the same into a struct with the known names as
		// tags.
		var tagged struct {
			ID     json.RawMessage `json:"clientId"`
			Secret json.RawMessage `json:"clientSecret"`
			Scope  json.RawMessage `json:"scope"`
		}
		if err := json.Unmarshal(data, &tagged); err != nil {
			t.Fatal(err)
		}
		for i, value := range []json.RawMessage{tagged.ID, tagged.Secret, tagged.Scope} {
			if ours, _ := object.Get(known[i]); string(ours) != string(value) {
				t.Fatalf("%s is %q, for a struct %q", known[i], ours, value)
			}
		}
	})
}

// FuzzElements: encoding/json accepts what Elements accepts, and reads the same.
func FuzzElements(f *testing.F) {
	f.Add([]byte(`[1,"a",[],{}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		elements, err := strictjson.Elements(data)
		if err != nil {
			return
		}
		var theirs []json.RawMessage
		if err := json.Unmarshal(data, &theirs); err != nil || len(theirs) != len(elements) {
			t.Fatalf("%q: %v", data, err)
		}
		for i := range elements {
			if string(elements[i]) != string(theirs[i]) {
				t.Fatalf("%q, for encoding/json %q", elements[i], theirs[i])
			}
		}
	})
}

func ExampleMembers() {
	_, err := strictjson.Members([]byte(`{"clientSecret":"bad","CLIENTSECRET":"good"}`), []string{"clientId", "clientSecret"})
	fmt.Println(err)
	// Output: JSON: member "CLIENTSECRET": differs from "clientSecret" only in case
}

func BenchmarkMembers(b *testing.B) {
	data := []byte(`{"iss":"https://api.example.com","sub":"0190a5c0-5d3c-4d0c-9a0a-1f6a9e2b7c11","aud":"https://api.example.com","exp":1772366400,"iat":1772365800,"scope":"project.list project.write"}`)
	names := []string{"iss", "sub", "aud", "client_id", "scope", "exp", "iat"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strictjson.Members(data, names); err != nil {
			b.Fatal(err)
		}
	}
}
