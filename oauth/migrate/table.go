package migrate

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
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

// tableColumns returns the names of the columns of CSV, and of the members of JSON lines.
func tableColumns() []string {
	return []string{"id", "workspace", "name", "sha256", "created", "expires"}
}

// CSV reads a table of keys that the host made itself, and of which it keeps the SHA-256:
//
//	id,workspace,name,sha256,created,expires
//	k-17,team-a,nightly report,5d5d3bb5...,2024-03-01,2027-01-31
//
// The first line names the columns, in any order. Columns id and sha256 are required,
// and a column with another name is an error. Values are separated by commas. White space
// around them is dropped. They may be quoted, without white space around the quotes.
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
func CSV(r io.Reader, mapping Mapping) (Result, error) { return readTable(r, mapping, true) }

// JSONLines is CSV for JSON: each line is an object with the columns as members. A member
// that is null or left out is empty; id and sha256 are required. For example:
//
//	psql -Atc "SELECT row_to_json(k) FROM (SELECT id, team AS workspace, name, sha256, created, expires FROM keys) k"
func JSONLines(r io.Reader, mapping Mapping) (Result, error) { return readTable(r, mapping, false) }

// readTable reads lines of CSV or of JSON.
func readTable(from io.Reader, mapping Mapping, isCSV bool) (Result, error) {
	r := &reader{mapping: mapping, seen: make(map[string]bool)}
	if mapping == nil {
		return r.result, errNoMapping
	}
	in := bufio.NewReader(from)
	var columns []string // of CSV
	for {
		line, long, err := strictjson.ReadLine(in, maxLine)
		r.line++
		// Spreadsheets begin with a byte order mark.
		text := strings.TrimSpace(strings.TrimPrefix(string(line), "\ufeff"))
		atEnd := errors.Is(err, io.EOF)
		switch {
		case err == nil && !long && text == "":
			continue
		case isCSV && columns == nil && (err == nil || atEnd):
			if columns, err = columnsOf(text); err == nil {
				continue
			}
		case atEnd:
			return r.result, nil
		}
		if err != nil {
			return r.result, fmt.Errorf("migrate: line %d: %w", r.line, err)
		}
		r.count++
		var row map[string]string // by the names of columns
		switch {
		case long:
			err = fmt.Errorf("it is longer than %d bytes", maxLine)
		case isCSV:
			row, err = rowOf(text, columns)
		default:
			row, err = objectOf(text)
		}
		r.row(row, err)
	}
}

// columnsOf reads the line that names the columns. An error does not repeat what may be a
// row.
func columnsOf(text string) ([]string, error) {
	columns, err := valuesOf(strings.ToLower(text))
	for i, name := range columns {
		if !slices.Contains(tableColumns(), name) || slices.Contains(columns[:i], name) {
			return nil, fmt.Errorf("column %d is none of id, workspace, name, sha256, created and expires, or is there twice; the first line names the columns, separated by commas", i+1)
		}
	}
	if err == nil && !(slices.Contains(columns, "id") && slices.Contains(columns, "sha256")) {
		err = errors.New("the first line must name the columns, and id and sha256 among them")
	}
	return columns, err
}

// valuesOf returns the values of a line of CSV.
func valuesOf(text string) ([]string, error) {
	values, err := csv.NewReader(strings.NewReader(text)).Read()
	if malformed, is := errors.AsType[*csv.ParseError](err); is { // its own text names another line
		return nil, fmt.Errorf("column %d: %w", malformed.Column, malformed.Err)
	}
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return values, nil
}

func rowOf(text string, columns []string) (map[string]string, error) {
	values, err := valuesOf(text)
	if err == nil && len(values) != len(columns) {
		return nil, fmt.Errorf("it has %d columns, and the first line has %d", len(values), len(columns))
	}
	row := make(map[string]string)
	for i, value := range values {
		row[columns[i]] = value
	}
	return row, err
}

// objectOf returns the members of a JSON object; null is an empty text.
func objectOf(text string) (row map[string]string, err error) {
	if _, err = strictjson.Only([]byte(text), tableColumns()); err != nil {
		return nil, err
	}
	if json.Unmarshal([]byte(text), &row) != nil { // its own text contains the value
		return nil, errors.New("each value must be a text or null")
	}
	return row, nil
}

func (r *reader) row(row map[string]string, err error) {
	expires, expiresErr := apikey.ParseExpiry(row["expires"])
	_, _, sumErr := secrets.OfSHA256(row["sha256"])
	c := Client{ID: row["id"], Name: row["name"], Workspace: row["workspace"], Created: row["created"], SecretExpires: expires.At, expiryDate: expires.Date}
	switch {
	case err != nil:
		r.skip("", "It cannot be read: %v.", err)
	case c.ID == "":
		r.skip("", "It has no id.")
	case sumErr != nil:
		r.skip(c.ID, "Column sha256: %v.", sumErr)
	case expiresErr != nil: // it repeats the text, which may be a secret in the wrong column
		r.skip(c.ID, "Column expires is neither a date like 2027-01-31 nor an instant like 2027-01-31T12:00:00Z.")
	default:
		r.add(c, apikey.ImportSpec{SHA256: row["sha256"]})
	}
}
