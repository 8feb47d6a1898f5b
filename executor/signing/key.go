package signing

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const keyPrefix = "signkey-"

// NormalizeKey removes one leading "signkey-<word characters>-" from a key or
// a token; other text is returned as it is (sdk-protocol §3.1).
func NormalizeKey(key string) string {
	rest, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return key
	}
	word := 0
	for word < len(rest) && isWord(rest[word]) {
		word++
	}
	if word == 0 || word == len(rest) || rest[word] != '-' {
		return key
	}
	return rest[word+1:]
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// HashKey is what SDKs send as bearer token: the lower-case hex SHA-256 of the
// hex-decoded normalised key (sdk-protocol §3.4). A key that is not hex, which
// ValidateKey refuses but dev mode tolerates, is hashed as its ASCII bytes.
func HashKey(key string) string {
	key = NormalizeKey(key)
	secret, err := hex.DecodeString(key)
	if err != nil {
		secret = []byte(key)
	}
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// ValidateKey checks a configured signing key (sdk-protocol §3.3). Unlike the
// original it counts only the hex part, so "signkey-prod-<hex>" is accepted.
func ValidateKey(key string) error {
	if key == "" {
		return errors.New("signing-key is required")
	}
	digits := NormalizeKey(key)
	if len(digits)%2 != 0 {
		return errors.New("signing-key must be hex string with even number of chars")
	}
	if _, err := hex.DecodeString(digits); err != nil {
		return fmt.Errorf("signing-key must be valid hex string: %w", err)
	}
	return nil
}

// Authorized tells whether token, the part of an Authorization header after
// "Bearer ", is one of the keys or the HashKey of one; a signkey prefix on the
// token is ignored (sdk-protocol §3.4). Empty keys are not keys; where no key
// is configured nothing is checked and every token, even none, is authorized.
func Authorized(token string, keys ...string) bool {
	presented := sha256.Sum256([]byte(NormalizeKey(token)))
	configured, match := false, 0
	for _, key := range keys {
		if key == "" {
			continue
		}
		configured = true
		// Digests are compared, not the texts, so that timing tells nothing
		// about a key's length either.
		raw := sha256.Sum256([]byte(NormalizeKey(key)))
		hashed := sha256.Sum256([]byte(HashKey(key)))
		match |= subtle.ConstantTimeCompare(presented[:], raw[:])
		match |= subtle.ConstantTimeCompare(presented[:], hashed[:])
	}
	return !configured || match == 1
}

// Bearer returns the token of an Authorization header, "" if it has none. The
// scheme is matched without regard to case.
func Bearer(header string) string {
	const scheme = "bearer "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimSpace(header[len(scheme):])
}
