// Package console holds the tests of the web console in a real browser. They need Chromium
// and, for the checks of accessibility, axe-core. ./run in this folder installs axe-core and
// runs them.
package console
