package migrate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/latchkey-go/latchkey/oauth/apikey"
	"github.com/latchkey-go/latchkey/oauth/internal/secrets"
	"github.com/latchkey-go/latchkey/oauth/internal/strictjson"
)

// maxLine is the maximum length of a line, in bytes.
const maxLine = 64 << 10

// row is a line of a host's own table. The columns of CSV have the names of the members.
type row struct {
	ID        string `json:"id"`
	Workspace string `json:"workspace,omitempty"`
	Name      string `json:"name,omitempty"`
	SHA256    string `json:"sha256"`
	Created   string `json:"created,omitempty"`
	Expires   string `json:"expires,omitempty"`
}

// CSV reads a table of keys that the host made itself, and of which it keeps the SHA-256:
//
//	id,workspace,name,sha256,created,expires
//	k-17,team-a,nightly report,5d5d3bb5...,2024-03-01,2027-01-31
//
// The first line names the columns, in any order. Columns id and sha256 are required,
// and a column with another name is an error. Values are separated by commas, and may
// be quoted; white space around them is dropped.
//
// In sha256 stands the SHA-256 of the secret alone, in hex or base64; see
// apikey.ImportSpec. Set Generated in the result if the secrets are random with at least
// 128 bits. Import refuses a SHA-256 otherwise. In expires stands a date (2027-01-31: the
// key works until that day has ended in UTC) or an RFC 3339 instant; empty is never. What
// stands in created is passed to the mapping and not checked: a key's Created is the time
// of its import, from which rules count. The mapping returns the permissions, and the
// workspace if it is another than the row's.
//
// A line that cannot be read is skipped, and the reason names it and its column: its
// values do not have these forms, or it is longer than 65,536 bytes. A quoted value
// cannot span lines. CSV returns an error if the input cannot be read or its first line
// does not name the columns. Blank lines are ignored.
func CSV(r io.Reader, mapping Mapping) (Result, error) {
	lines := &lineReader{in: bufio.NewReader(r)}
	text, err := lines.next()
	columns, err := fieldsOf(text, err)
	for i := range columns {
		columns[i] = strings.ToLower(columns[i])
		// An error does not repeat what may be a row and not the names of columns.
		if (&row{}).field(columns[i]) == nil || slices.Contains(columns[:i], columns[i]) {
			err = fmt.Errorf("column %d is none of id, workspace, name, sha256, created and expires, or is there twice; the first line names the columns, separated by commas", i+1)
			break
		}
	}
	if empty := errors.Is(err, io.EOF); empty || err == nil && !(slices.Contains(columns, "id") && slices.Contains(columns, "sha256")) {
		err = errors.New("the first line must name the columns, and id and sha256 among them")
	}
	if err != nil {
		return Result{}, fmt.Errorf("migrate: CSV: line %d: %w", lines.number, err)
	}
	return readRows(lines, mapping, func(text string) (in row, err error) {
		fields, err := fieldsOf(text, nil)
		if err == nil && len(fields) != len(columns) {
			return in, fmt.Errorf("it has %d columns, and the first line has %d", len(fields), len(columns))
		}
		for i, field := range fields {
			*in.field(columns[i]) = field
		}
		return in, err
	})
}

// JSONLines is CSV for JSON: each line is an object with the columns as members. A member
// that is null or left out is empty; id and sha256 are required. For example:
//
//	psql -Atc "SELECT row_to_json(k) FROM (SELECT id, team AS workspace, name, sha256, created, expires FROM keys) k"
func JSONLines(r io.Reader, mapping Mapping) (Result, error) {
	return readRows(&lineReader{in: bufio.NewReader(r)}, mapping, func(text string) (in row, err error) {
		err = strictjson.UnmarshalOnly([]byte(text), &in)
		return in, err
	})
}

// field returns the field of a column, or nil if there is no such column.
func (in *row) field(column string) *string {
	return map[string]*string{
		"id": &in.ID, "workspace": &in.Workspace, "name": &in.Name, "sha256": &in.SHA256, "created": &in.Created, "expires": &in.Expires,
	}[column]
}

// fieldsOf returns the values of a line of CSV.
func fieldsOf(text string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if malformed, is := errors.AsType[*csv.ParseError](err); is {
		return nil, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	return fields, err
}

// readRows calls parse for each line.
func readRows(lines *lineReader, mapping Mapping, parse func(string) (row, error)) (Result, error) {
	r := &reader{mapping: mapping, seen: make(map[string]bool)}
	if mapping == nil {
		return r.result, errNoMapping
	}
	for {
		text, err := lines.next()
		var in row
		switch {
		case errors.Is(err, io.EOF):
			return r.result, nil
		case err == nil:
			in, err = parse(text)
		case !errors.Is(err, errLong):
			return r.result, fmt.Errorf("migrate: line %d: %w", lines.number, err)
		}
		r.count, r.line = r.count+1, lines.number
		r.row(in, err)
	}
}

func (r *reader) row(in row, err error) {
	expires, expiresErr := apikey.ParseExpiry(in.Expires)
	_, _, sumErr := secrets.OfSHA256(in.SHA256)
	switch {
	case err != nil:
		r.skip(in.ID, "It cannot be read: %v.", err)
	case in.ID == "":
		r.skip("", "It has no id.")
	case sumErr != nil:
		r.skip(in.ID, "Column sha256: %v.", sumErr)
	case expiresErr != nil: // it repeats the text, which may be a secret in the wrong column
		r.skip(in.ID, "Column expires is neither a date like 2027-01-31 nor an instant like 2027-01-31T12:00:00Z.")
	default:
		c := Client{ID: in.ID, Name: in.Name, Workspace: in.Workspace, Created: in.Created, SecretExpires: expires.At, expiryDate: expires.Date}
		r.add(c, apikey.ImportSpec{SHA256: in.SHA256})
	}
}

var errLong = fmt.Errorf("it is longer than %d bytes", maxLine)

// lineReader reads lines and counts them.
type lineReader struct {
	in     *bufio.Reader
	number int
}

// next returns the next line that is not blank. The error is errLong for a line that is
// too long, and io.EOF at the end.
func (l *lineReader) next() (string, error) {
	for {
		line, long, err := strictjson.ReadLine(l.in, maxLine)
		if err != nil {
			return "", err
		}
		if l.number++; long {
			return "", errLong
		}
		// Spreadsheets begin with a byte order mark.
		if text := strings.TrimPrefix(string(line), "\ufeff"); strings.TrimSpace(text) != "" {
			return text, nil
		}
	}
}
