// Package api_test sends to every route of the real server what no client
// should: wrong methods, bodies that are malformed, too large, too deep or
// something else, names with zero bytes, attempts at injection. The answer has
// to be a clear refusal, never a failure of the server, which goes on.
package api_test
