package ingest

import (
	"crypto/subtle"
	"net/http"
)

// Keys decides which event keys are accepted.
type Keys struct {
	required bool
	keys     []string
}

// AnyKey accepts every key, as a server in dev mode does.
func AnyKey() Keys { return Keys{} }

// OnlyKeys accepts those keys byte for byte, and none when there are none.
func OnlyKeys(keys ...string) Keys { return Keys{required: true, keys: keys} }

// check returns the answer for a key that is not accepted (http-api §4).
func (k Keys) check(key string) (refused Answer, ok bool) {
	switch {
	case !k.required:
		return Answer{}, true
	case len(k.keys) == 0:
		return refuse(http.StatusServiceUnavailable, "Event keys are required to process events securely"), false
	case key == "":
		return refuse(http.StatusUnauthorized, "Event key is required"), false
	}
	match := 0
	for _, accepted := range k.keys {
		match |= subtle.ConstantTimeCompare([]byte(key), []byte(accepted))
	}
	if match == 0 {
		return refuse(http.StatusUnauthorized, "Event key not found"), false
	}
	return Answer{}, true
}
