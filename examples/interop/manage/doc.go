// Package manage holds a test of a client that oapi-codegen generates from the OpenAPI
// document of the management API. ../run generates it, so the test has a build tag:
//
//	go tool oapi-codegen -generate types,client -package manage_test ../../oauth/admin/openapi.json
package manage
