package driver

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"github.com/oklog/ulid/v2"
)

// newTraceparent makes a W3C traceparent with a fresh span. The trace id is
// the run id, so that all calls of a run are one trace.
func newTraceparent(run ulid.ULID) string {
	if run.IsZero() { // an all-zero trace id is invalid
		binary.BigEndian.PutUint64(run[:], rand.Uint64()|1)
	}
	var span [8]byte
	binary.BigEndian.PutUint64(span[:], rand.Uint64()|1)

	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, run[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, span[:])
	return string(append(b, "-01"...))
}

// newTracestate makes the tracestate that SDKs copy back with user-land spans:
// the parent span, the function and the app (sdk-protocol §7.2).
func newTracestate(traceparent string, r *Request) string {
	b := make([]byte, 0, 240)
	b = append(b, "inngest@traceref=%7B%22tp%22%3A%22"...)
	b = append(b, traceparent...)
	b = append(b, "%22%2C%22ts%22%3A%22%22%7D,inngest@fn="...)
	b = appendUUID(b, r.FunctionID)
	b = append(b, ",inngest@app="...)
	return string(appendUUID(b, r.AppID))
}
