// Package openapitest holds tests only: the OpenAPI document of the management API
// is valid, and every exchange in the tests of package admin agrees with it. It is
// a module of its own to keep kin-openapi out of the library's dependencies.
package openapitest
