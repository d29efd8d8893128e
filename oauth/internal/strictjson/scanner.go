package strictjson

// scanner walks over one JSON text of RFC 8259, checking all of it. The
// methods start at the first byte of what they read and stop behind the last.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) fail(reason string) *Error {
	return &Error{Reason: reason, Offset: s.pos}
}

func (s *scanner) failAt(offset int, name, reason string) *Error {
	return &Error{Name: name, Reason: reason, Offset: offset}
}

// peek returns the next byte, or 0 at the end: no JSON token begins with 0.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// end accepts white space only.
func (s *scanner) end() error {
	if s.space(); s.pos < len(s.data) {
		return s.fail("something follows the end of the value")
	}
	return nil
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); c {
	case '{':
		return s.nested(depth)
	case '[':
		return s.array(depth, nil)
	case '"':
		_, err := s.text()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return s.number()
		}
		return s.fail("a value was expected")
	}
}

// nested reads an object whose members nobody asked for, and still refuses a
// name that appears twice in it.
func (s *scanner) nested(depth int) error {
	var names nameSet
	return s.object(depth, func(raw []byte, at int) error {
		name, _, err := resolve(raw, nil)
		if err != nil {
			return s.failAt(at, name, err.Error())
		}
		if !names.add(name) {
			return s.failAt(at, name, "appears twice")
		}
		return nil
	}, nil)
}

// object calls name for each quoted name, which may refuse it, then keep (if
// not nil) for its value.
func (s *scanner) object(depth int, name func(raw []byte, at int) error, keep func(value []byte)) error {
	if depth > MaxDepth {
		return s.fail("nested too deeply")
	}
	s.pos++
	if s.space(); s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		at := s.pos
		if s.peek() != '"' {
			return s.fail("a member's name was expected")
		}
		raw, err := s.text()
		if err != nil {
			return err
		}
		if err := name(raw, at); err != nil {
			return err
		}
		if s.space(); s.peek() != ':' {
			return s.fail("a colon was expected")
		}
		s.pos++
		s.space()
		begin := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if keep != nil {
			keep(s.data[begin:s.pos:s.pos])
		}
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

func (s *scanner) array(depth int, keep func(value []byte)) error {
	if depth > MaxDepth {
		return s.fail("nested too deeply")
	}
	s.pos++
	if s.space(); s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		begin := s.pos
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if keep != nil {
			keep(s.data[begin:s.pos:s.pos])
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

// more reads the comma before a further item, or the closing bracket.
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.fail("a comma or a closing bracket was expected")
}

// text reads a string and returns it with its quotes.
func (s *scanner) text() ([]byte, error) {
	begin := s.pos
	s.pos++
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[begin:s.pos], nil
		case c < 0x20:
			return nil, s.fail("a control character must be escaped")
		case c == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.pos++
		}
	}
	return nil, s.fail("a string does not end")
}

func (s *scanner) escape() error {
	if s.pos+1 >= len(s.data) {
		return s.fail("a string does not end")
	}
	switch s.data[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	}
	unit, ok := s.unicodeEscape()
	if !ok {
		return s.fail("an escape is not valid")
	}
	// Half of a pair is no character; parsers differ in what they make of it.
	if unit >= 0xD800 && unit < 0xE000 {
		low, ok := s.unicodeEscape()
		if unit >= 0xDC00 || !ok || low < 0xDC00 || low > 0xDFFF {
			return s.fail("half of a surrogate pair is no character")
		}
	}
	return nil
}

// unicodeEscape reads \uXXXX.
func (s *scanner) unicodeEscape() (unit int, ok bool) {
	if len(s.data)-s.pos < 6 || s.data[s.pos] != '\\' || s.data[s.pos+1] != 'u' {
		return 0, false
	}
	for _, c := range s.data[s.pos+2 : s.pos+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | int(c)
	}
	s.pos += 6
	return unit, true
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch {
	case s.peek() == '0':
		s.pos++
	case !s.digits():
		return s.fail("a number is not valid")
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail("a number is not valid")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("a number is not valid")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	begin := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > begin
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail("a value was expected")
	}
	s.pos += len(word)
	return nil
}
