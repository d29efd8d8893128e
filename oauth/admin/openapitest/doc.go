// Package openapitest checks the management API against its OpenAPI document: the
// document itself, and every exchange of the tests of package admin. It is a
// module of its own to keep the checker out of the library's dependencies.
package openapitest
