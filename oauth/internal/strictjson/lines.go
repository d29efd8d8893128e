package strictjson

import (
	"bufio"
	"errors"
	"io"
)

// ReadLine reads up to the next line feed, for input in lines. A line of more than
// maximum bytes is long, and its text is dropped. At the end of the input ReadLine
// returns a last line without a line feed first, and io.EOF after that. Of a line that
// another error cuts off, it returns nothing.
func ReadLine(in *bufio.Reader, maximum int) (text []byte, long bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		text = append(text, part...)
		if long = long || len(text) > maximum+1; long {
			text = nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil:
			return text, long, nil
		case errors.Is(err, io.EOF) && (long || len(text) > 0):
			return text, long, nil
		default:
			return nil, false, err
		}
	}
}
