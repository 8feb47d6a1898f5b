package driver

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/jcs"
)

// Limits of a request (sdk-protocol §8).
const (
	// MaxRequestBody is the largest body sent to an SDK, in bytes.
	MaxRequestBody = 4 << 20
	// maxInlineState is how much state (events and memos) a body may carry.
	maxInlineState = MaxRequestBody - 1024
)

// Body returns the canonical body of a call (sdk-protocol §7.3). useAPI tells
// that the state is too large to be sent: the SDK fetches events and memos
// itself, steps is empty, and so is events if nothing else helps (§8).
//
// The parts of r are concatenated, not parsed again; keys therefore stand here
// in their canonical order.
func Body(r *Request) (body []byte, useAPI bool) {
	state := 0
	for _, event := range r.Events {
		state += len(event)
	}
	for _, memo := range r.Steps {
		state += len(memo.Data)
	}
	if state <= maxInlineState {
		if body = appendBody(nil, r, r.Events, false); len(body) <= MaxRequestBody {
			return body, false
		}
	}
	if body = appendBody(body[:0], r, r.Events, true); len(body) > MaxRequestBody {
		body = appendBody(body[:0], r, nil, true)
	}
	return body, true
}

func appendBody(b []byte, r *Request, events []json.RawMessage, useAPI bool) []byte {
	steps := r.Steps
	if useAPI {
		steps = nil
	}
	b = slices.Grow(b, sizeHint(r, events, steps))

	b = append(b, `{"ctx":`...)
	b = appendContext(b, r, useAPI)
	b = append(b, `,"defers":`...)
	b = appendDefers(b, r.Defers)
	b = append(b, `,"event":`...)
	if len(r.Events) > 0 {
		b = append(b, r.Events[0]...)
	} else {
		b = append(b, `{}`...)
	}
	b = append(b, `,"events":[`...)
	for i, event := range events {
		b = appendComma(b, i)
		b = append(b, event...)
	}
	b = append(b, `],"steps":{`...)
	for n, i := range sortedSteps(steps) {
		b = append(jcs.AppendString(appendComma(b, n), steps[i].ID), ':')
		b = append(b, steps[i].Data...)
	}
	b = append(b, `},"use_api":`...)
	b = strconv.AppendBool(b, useAPI)
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(r.Version), 10)
	return append(b, '}')
}

func appendContext(b []byte, r *Request, useAPI bool) []byte {
	b = append(b, `{"attempt":`...)
	b = strconv.AppendInt(b, int64(r.Attempt), 10)
	b = append(b, `,"disable_immediate_execution":`...)
	b = strconv.AppendBool(b, r.DisableImmediateExecution)
	b = append(b, `,"env":""`...)
	if !r.NoCheckpoints { // for which SDKs need the id
		b = append(appendUUID(append(b, `,"fn_id":"`...), r.FunctionID), '"')
	}
	if r.Generation != 0 {
		b = append(b, `,"generation_id":`...)
		b = strconv.AppendInt(b, int64(r.Generation), 10)
	}
	if r.JobID != "" {
		b = jcs.AppendString(append(b, `,"job_id":`...), r.JobID)
	}
	b = append(b, `,"max_attempts":`...)
	b = strconv.AppendInt(b, int64(r.MaxAttempts), 10)
	b = append(b, `,"qi_id":"`...)
	if r.JobID != "" {
		b = append(b, function.QueueItemID(r.JobID)...)
	}
	b = append(b, '"')
	if r.RequestID != "" {
		b = jcs.AppendString(append(b, `,"request_id":`...), r.RequestID)
	}
	b = append(b, `,"run_id":"`...)
	b = appendULID(b, r.RunID)
	b = append(b, `","stack":{"current":`...)
	b = strconv.AppendInt(b, int64(r.StackCurrent), 10)
	b = append(b, `,"stack":[`...)
	for i, id := range r.Stack {
		b = jcs.AppendString(appendComma(b, i), id)
	}
	b = append(b, `]},"step_id":"step","use_api":`...)
	b = strconv.AppendBool(b, useAPI)
	return append(b, '}')
}

func appendDefers(b []byte, defers map[string]bool) []byte {
	if len(defers) == 0 {
		return append(b, `{}`...)
	}
	b = append(b, '{')
	for i, id := range slices.SortedFunc(maps.Keys(defers), jcs.Compare[string]) {
		b = jcs.AppendString(appendComma(b, i), id)
		b = append(b, `:{"abortable":`...)
		b = strconv.AppendBool(b, defers[id])
		b = append(b, '}')
	}
	return append(b, '}')
}

// sortedSteps returns the positions of the memos in the order of canonical
// keys. Of two memos with one id the later counts.
func sortedSteps(steps []Memo) []int {
	order := make([]int, len(steps))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(jcs.Compare(steps[i].ID, steps[j].ID), i-j)
	})
	kept := order[:0]
	for at, i := range order {
		if at+1 < len(order) && steps[order[at+1]].ID == steps[i].ID {
			continue
		}
		kept = append(kept, i)
	}
	return kept
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	for i, part := range [][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b
}

func appendULID(b []byte, id ulid.ULID) []byte {
	var text [ulid.EncodedSize]byte
	_ = id.MarshalTextTo(text[:]) // fails only for a buffer of another size
	return append(b, text[:]...)
}

// sizeHint is enough room for the body, unless ids need escapes.
func sizeHint(r *Request, events []json.RawMessage, steps []Memo) int {
	const frame = 640 // all keys, numbers and fixed-size ids
	size := frame + 3*len(r.JobID) + len(r.RequestID)
	for _, id := range r.Stack {
		size += len(id) + 3
	}
	for id := range r.Defers {
		size += len(id) + 24
	}
	if len(r.Events) > 0 {
		size += len(r.Events[0])
	}
	for _, event := range events {
		size += len(event) + 1
	}
	for _, memo := range steps {
		size += len(memo.ID) + len(memo.Data) + 4
	}
	return size
}
