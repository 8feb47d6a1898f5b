package state

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Keys that are made of a hash of what they are for and of the hash of a value, as
// function.Hash writes it, side by side. Whoever knows what a key is for gets the
// value's hash back: other engines name their keys by it.

// What a NewValueKey is for.
const (
	OfThrottle  = "throttle"
	OfRateLimit = "rate limit"
	OfSingleton = "singleton" // its key expression is not part of the key
)

// What a NewGateKey is for; the text is that of the key's value.
const (
	OfDebounce = "debounce"
	OfBatch    = "batch"
)

// NewValueKey is the key of what a kind of gate keeps for the value of a function's
// key expression. expr and value are hashes (function.Hash), "" for none.
func NewValueKey(kind string, fn uuid.UUID, expr, value string) GateKey {
	return GateKey(pair(valueKeyOwner(kind, fn, expr), hashOf(value)))
}

// Value is the hash of the value that a key of NewValueKey was made with; ok is
// false when it was made for something else.
func (k GateKey) Value(kind string, fn uuid.UUID, expr string) (value string, ok bool) {
	if binary.BigEndian.Uint64(k[:8]) != valueKeyOwner(kind, fn, expr) {
		return "", false
	}
	if low := binary.BigEndian.Uint64(k[8:]); low != 0 {
		value = strconv.FormatUint(low, 36)
	}
	return value, true
}

func valueKeyOwner(kind string, fn uuid.UUID, expr string) uint64 {
	room := make([]byte, 0, 64)
	room = append(append(room, kind...), fn[:]...)
	return xxhash.Sum64(append(room, expr...))
}

// ClaimKey is what an idempotency key (function.IdempotencyKey) is claimed under;
// ok is false for a text of another form.
func ClaimKey(idempotency string) (key [16]byte, ok bool) {
	of, source, found := strings.Cut(idempotency, "-")
	high, highErr := strconv.ParseUint(of, 36, 64)
	low, lowErr := strconv.ParseUint(source, 36, 64)
	return pair(high, low), found && highErr == nil && lowErr == nil
}

// Idempotency is the text that ClaimKey was given for the key.
func Idempotency(key [16]byte) string {
	return strconv.FormatUint(binary.BigEndian.Uint64(key[:8]), 36) + "-" +
		strconv.FormatUint(binary.BigEndian.Uint64(key[8:]), 36)
}

// CollectedKey is what an event is claimed under that was added to a batch. The
// claim has the event's internal id in the place of a run.
func CollectedKey(fn uuid.UUID, event ulid.ULID) [16]byte {
	return pair(valueKeyOwner(OfBatch, fn, ""), xxhash.Sum64(event[:]))
}

func pair(high, low uint64) (key [16]byte) {
	binary.BigEndian.PutUint64(key[:8], high)
	binary.BigEndian.PutUint64(key[8:], low)
	return key
}

// hashOf is the number that function.Hash wrote; of any other text it is the
// text's own hash.
func hashOf(text string) uint64 {
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseUint(text, 36, 64); err == nil {
		return n
	}
	return xxhash.Sum64String(text)
}
