package jose

import (
	"fmt"
	"io"
)

// The key of an HS256 PublicKey is a secret, and a Signer holds a private key.
// Printing, logging or marshalling one writes only its id and algorithm.

func (p PublicKey) label() string { return string(p.Algorithm) + " key " + p.ID }

// Format implements fmt.Formatter for every verb.
func (p PublicKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.label()) } //nolint:errcheck // f reports it to Printf

// MarshalText implements encoding.TextMarshaler.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.label()), nil }

// Format implements fmt.Formatter for every verb.
func (s *Signer) Format(f fmt.State, verb rune) {
	if s == nil {
		_, _ = io.WriteString(f, "no key") //nolint:errcheck // f reports it to Printf
		return
	}
	s.public.Format(f, verb)
}
