package function

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
)

// StepID is the id that SDKs give to a step: the hash of what the user calls
// it, for the first and, with index from 1, for its repetitions (sdk-protocol
// §4.7).
func StepID(name string, index int) string {
	if index > 0 {
		name += ":" + strconv.Itoa(index)
	}
	sum := sha1.Sum([]byte(name)) // not for secrecy
	return hex.EncodeToString(sum[:])
}
