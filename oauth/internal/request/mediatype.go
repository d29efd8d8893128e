package request

import (
	"mime"
	"net/http"
	"strings"
)

// MediaType reads the Content-Type of a text. utf8 is false if a charset other than
// UTF-8 is named. ok is false if the header is missing, present twice or malformed.
func MediaType(header http.Header) (kind string, utf8, ok bool) {
	values := header["Content-Type"]
	if len(values) != 1 {
		return "", false, false
	}
	switch values[0] {
	case "application/x-www-form-urlencoded", "application/json": // without the cost of parsing
		return values[0], true, true
	}
	kind, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", false, false
	}
	charset, named := params["charset"]
	return kind, !named || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8"), true
}

// IsPrintable reports whether a text is of printable ASCII characters and spaces, so
// that it can stand in a header.
func IsPrintable(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// IsASCII reports whether a text reads the same in every charset that a
// client may name for it.
func IsASCII[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
