package format

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// The keys of a function's batches have the function in their hash tag
// (redis-state §11).

func ofBatches(fn uuid.UUID, name string) string { return "{queue:" + fn.String() + "}:" + name }

// BatchPointerKey is the string with the batch that collects, of a function
// whose batches have no key.
func BatchPointerKey(fn uuid.UUID) string {
	return ofBatches(fn, "workflows:"+fn.String()+":batch")
}

// BatchKeyPointerKey is the string with the batch that collects for a key.
func BatchKeyPointerKey(fn uuid.UUID, key string) string {
	return BatchPointerKey(fn) + ":" + function.BatchKeyHash(key)
}

// BatchPrefix is what names of a function's batches begin with.
func BatchPrefix(fn uuid.UUID) string { return ofBatches(fn, "batches:") }

// BatchKey is the list of [Batched], oldest first.
func BatchKey(fn uuid.UUID, batch ulid.ULID) string { return BatchPrefix(fn) + batch.String() }

// BatchMetadataKey is the hash with the batch's status.
func BatchMetadataKey(fn uuid.UUID, batch ulid.ULID) string { return BatchKey(fn, batch) + ":metadata" }

// BatchSeenKey keeps an event from being collected twice.
func BatchSeenKey(fn uuid.UUID, event ulid.ULID) string {
	return ofBatches(fn, "batch_idem:"+event.String())
}

// BatchSeenTTL is for how many seconds it does.
const BatchSeenTTL = 1800
