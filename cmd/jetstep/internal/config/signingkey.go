package config

import (
	"encoding/hex"
	"regexp"
)

// signingKeyPrefix is what dashboards put in front of a key; the hash is made
// of the rest (sdk-protocol: signatures).
var signingKeyPrefix = regexp.MustCompile(`^signkey-\w+-`)

// checkSigningKey accepts hex with or without a prefix.
//
// The original counts the prefix when it asks for an even number of
// characters, so it refuses the well-formed signkey-prod-<hex>, whose prefix
// has 13 (cli-config §6). Here a key is refused only if its hex part is bad;
// the texts are the original's.
func checkSigningKey(option, key string) error {
	digits := key[len(signingKeyPrefix.FindString(key)):]
	_, err := hex.DecodeString(digits)
	switch {
	case err == nil && digits == "":
		return invalid(option, "must have hex digits after its prefix")
	case err == nil:
		return nil
	case len(key)%2 != 0:
		return invalid(option, "must be hex string with even number of chars")
	}
	return invalid(option, "must be valid hex string: %v", err)
}
