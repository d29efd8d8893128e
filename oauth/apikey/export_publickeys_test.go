package apikey

// PublicKeys is what remembers parsed public keys.
type PublicKeys struct{ c publicKeys }

// MaxPublicKeysParsed bounds PublicKeys.
const MaxPublicKeysParsed = maxPublicKeysParsed

func (p *PublicKeys) Parse(jwk string) error {
	_, err := p.c.parse(jwk)
	return err
}

// Has reports whether a key is remembered.
func (p *PublicKeys) Has(jwk string) bool {
	_, found := p.c.parsed.Load(jwk)
	return found
}

// Len counts what is remembered.
func (p *PublicKeys) Len() (n int) {
	p.c.parsed.Range(func(any, any) bool {
		n++
		return true
	})
	return n
}
