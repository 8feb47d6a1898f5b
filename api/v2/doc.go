// Package v2 is version 2 of the REST API, below /v2 and /api/v2: reading apps,
// functions, runs and traces, and ending and repeating runs (http-api §14).
//
// It owns the routes, their parameters and the form of their answers, which is
// that of JSON made from protocol buffers: keys in alphabetical order, values
// that are zero left out, 64-bit numbers as text. It reads through a Reader and
// hands what it is told to do to Commands; it stores nothing. Who may ask is
// decided by whoever mounts its handler.
package v2
