// Package openapitest holds tests only. They check that the OpenAPI document of the
// management API is valid, and that every exchange in the tests of package admin agrees
// with it. It is a separate module, so that kin-openapi is not a dependency of the library.
package openapitest
