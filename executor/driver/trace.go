package driver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"

	"github.com/oklog/ulid/v2"
)

// newTraceparent makes the W3C traceparent of a call. All calls of a run are
// one trace: that of whoever sent the run's event, if the event says so, else
// one whose id is the run's. The span is the tail of the request's id, which
// the trace of the run has, too (history/trace).
func newTraceparent(r *Request) string {
	traceID := r.RunID
	if sender, ok := senderTrace(r.Events); ok {
		traceID = sender
	}
	if traceID.IsZero() { // an all-zero trace id is invalid
		binary.BigEndian.PutUint64(traceID[:], rand.Uint64()|1)
	}
	var span [8]byte
	if request, err := ulid.ParseStrict(r.RequestID); err == nil {
		copy(span[:], request[8:])
	} else {
		binary.BigEndian.PutUint64(span[:], rand.Uint64()|1)
	}

	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, traceID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, span[:])
	return string(append(b, "-01"...))
}

// senderTrace is the trace id in the traceparent that the first event came
// with. Most events have none, and are not parsed for it.
func senderTrace(events []json.RawMessage) (id [16]byte, ok bool) {
	if len(events) == 0 || !bytes.Contains(events[0], []byte(`"traceparent":"`)) {
		return id, false
	}
	var event struct {
		Meta struct {
			Traceparent string `json:"traceparent"`
		} `json:"meta"`
	}
	if json.Unmarshal(events[0], &event) != nil || len(event.Meta.Traceparent) < 35 {
		return id, false
	}
	n, err := hex.Decode(id[:], []byte(event.Meta.Traceparent[3:35]))
	return id, err == nil && n == len(id)
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
