// Package readmodel_test asks the real server, over HTTP, about histories in
// real databases: the captured database of the original, adopted in PostgreSQL
// and in SQLite, has to be answered as the original answered.
//
// It must not look into the server: what it knows of it is its API and, for
// making databases, the schema.
package readmodel_test
