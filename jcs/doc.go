// Package jcs owns JSON as it must be for signing and comparing: the canonical
// form of RFC 8785, and reading parts of JSON text without decoding it.
//
// It guarantees that Canonicalize never panics and returns the same bytes for
// values that are equal, and that what is canonical already is returned as it
// is, uncopied. It must not know what the JSON means.
package jcs
