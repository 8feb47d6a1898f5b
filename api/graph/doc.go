// Package graph is the GraphQL API: apps, events, runs and their traces, and
// the commands that the dashboard gives (graphql).
//
// It owns the schema, what each field means, and the texts of errors that
// clients know. What it shows it reads from a Reader, and what it is told to do
// it hands to Commands; it stores nothing, and nothing that executes may wait
// for it. Who may ask is decided by whoever mounts its handler.
//
// The server code in generated is made from schema.graphql by go generate.
package graph

//go:generate go run github.com/99designs/gqlgen generate --config gqlgen.yml
