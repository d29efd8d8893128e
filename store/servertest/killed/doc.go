// Package killed tests what the services of package apikey and the management API
// promise to a client whose server is killed in the middle of a call: the records
// are in a SQLite file, which outlives the process.
package killed
