package userland

import (
	"bytes"
	"encoding/hex"

	"github.com/oklog/ulid/v2"
)

// Sizes of ids in bytes; their text is hex.
const (
	traceIDSize = 16
	spanIDSize  = 8
)

// isID tells an id from one that is missing: all zeros are none in OTLP.
func isID(id []byte, size int) bool {
	return len(id) == size && !bytes.Equal(id, make([]byte, size))
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// runOf is the run whose id is the trace id.
func runOf(traceID string) (run ulid.ULID, ok bool) {
	b, err := hex.DecodeString(traceID)
	if err != nil || !isID(b, traceIDSize) || b[0] > 0x0f { // beyond the years of ULIDs that anybody makes
		return run, false
	}
	copy(run[:], b)
	return run, true
}
