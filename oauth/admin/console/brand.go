package console

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Brand makes the pages those of the host's product. The zero value of each field
// leaves the console as it is.
type Brand struct {
	// Name of the product is shown at the top of each page and in the title of the
	// window: at most 64 printable characters. Default "API keys".
	Name string
	// Logo is a PNG, WebP or SVG image of at most 256 KiB. It is shown 24 pixels
	// high beside the name, and as the icon of the window. No script in it can run.
	Logo []byte
	// Accent is the colour of links and buttons, such as "#2456c9". AccentDark
	// replaces it in the dark colour scheme. The console has text in these colours on
	// its backgrounds, and backgrounds in these colours under its text. New returns an
	// error if the contrast of one such pair is less than 4.5 (WCAG 2.2, success
	// criterion 1.4.3).
	Accent, AccentDark string
	// Home is the address of a link back to the product: an absolute http or https
	// URL, or a path of the same host.
	Home string
}

const (
	maxBrandName = 64
	maxLogo      = 256 << 10
	maxTitle     = 100
	minContrast  = 4.5
)

// validate calls check for each rule that b must keep, and returns the stylesheet with
// its colours.
func (b *Brand) validate(check func(ok bool, format string, args ...any)) (css string) {
	printable := !strings.ContainsFunc(b.Name, func(r rune) bool { return !unicode.IsPrint(r) })
	check(printable && utf8.RuneCountInString(b.Name) <= maxBrandName, "Config.Brand.Name must have at most %d printable characters", maxBrandName)
	image := len(b.Logo) == 0 || slices.Contains([]string{"image/png", "image/webp", "image/svg+xml"}, imageType(b.Logo))
	check(image && len(b.Logo) <= maxLogo, "Config.Brand.Logo must be a PNG, WebP or SVG image of at most %d bytes", maxLogo)
	path := b.Home == "" || strings.HasPrefix(b.Home, "/") && isPath(b.Home)
	check(path || isWebURL(b.Home), "Config.Brand.Home must be an http or https URL, or a path of this host that begins with a slash")
	for _, scheme := range []struct {
		field, accent, query string
		others               []string // ground, sheet, accent-wash and accent-ink in console.css
	}{
		{"Accent", cmp.Or(b.Accent, "#2456c9"), "", []string{"#f6f7f9", "#ffffff", "#e9effc", "#ffffff"}},
		{"AccentDark", cmp.Or(b.AccentDark, "#86aaff"), " and (prefers-color-scheme: dark)", []string{"#12151a", "#1a1e25", "#212d47", "#0d1526"}},
	} {
		css += fmt.Sprintf("@media screen%s { :root { --accent: %s; } }\n", scheme.query, scheme.accent)
		for _, other := range scheme.others {
			ratio := contrast(scheme.accent, other)
			check(ratio >= minContrast, // NaN if the accent is not a colour
				"Config.Brand.%s is %q, whose contrast with %s, a colour of the console, is %.2f; set a colour in the form #rrggbb whose contrast is at least %.1f", scheme.field, scheme.accent, other, ratio, minContrast)
		}
	}
	return css
}

// contrast returns the contrast ratio of two colours (WCAG 2.2).
func contrast(one, other string) float64 {
	a, b := luminance(one)+0.05, luminance(other)+0.05
	return max(a, b) / min(a, b)
}

// luminance returns the relative luminance of a colour (WCAG 2.2), or NaN.
func luminance(colour string) (sum float64) {
	rgb, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(rgb) != 3 || colour[0] != '#' {
		return math.NaN()
	}
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part := float64(rgb[i]) / 255
		if part > 0.04045 {
			part = math.Pow((part+0.055)/1.055, 2.4)
		} else {
			part /= 12.92
		}
		sum += weight * part
	}
	return sum
}

// imageType returns the media type of an image.
func imageType(image []byte) string {
	kind := http.DetectContentType(image)
	if strings.HasPrefix(kind, "text/") && bytes.Contains(image, []byte("<svg")) {
		return "image/svg+xml"
	}
	return kind
}
