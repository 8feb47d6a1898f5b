package function

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Hash is xxHash64 (seed 0) in lower-case base 36 without padding: the form of
// expression, value and job hashes in SDK traffic and stored data
// (sdk-protocol §4).
func Hash(s string) string {
	return strconv.FormatUint(xxhash.Sum64String(s), 36)
}

// HashBytes is Hash of raw bytes.
func HashBytes(b []byte) string {
	return strconv.FormatUint(xxhash.Sum64(b), 36)
}

// HashHex is xxHash64 as 16 lower-case hexadecimal digits.
func HashHex(s string) string {
	return fmt.Sprintf("%016x", xxhash.Sum64String(s))
}

// BatchKeyHash is the base64 SHA-256 under which a batch key's pointer is kept.
func BatchKeyHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.StdEncoding.EncodeToString(sum[:])
}
