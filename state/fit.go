package state

import (
	"encoding/json"

	"jetstep/jcs"
)

// Fit makes an event about a run small enough to be published: a run's input
// and output can together be larger than a message may be, and so can the
// request that began it. What the event carries along is left out, field by
// field until it fits, and "_inngest.omitted" says what.
func (e *SentEvent) Fit(limit int) {
	if len(e.Data) <= limit {
		return
	}
	var data map[string]json.RawMessage
	if json.Unmarshal(e.Data, &data) != nil {
		return // it is no object: nothing to leave out
	}
	var omitted []string
	for _, field := range []string{"events", "result", "event", "error", "body"} {
		if _, ok := data[field]; !ok {
			continue
		}
		omitted = append(omitted, field)
		data[field] = abridged(field, data[field])
		about := map[string]json.RawMessage{}
		_ = json.Unmarshal(data["_inngest"], &about) // written by finishData
		about["omitted"] = encode(omitted)
		data["_inngest"] = encode(about)
		if e.Data = encode(data); len(e.Data) <= limit {
			return
		}
	}
}

// abridged is what stays of a field that is left out: of the event its id,
// name and time, of the rest nothing.
func abridged(field string, value json.RawMessage) json.RawMessage {
	if field != "event" {
		return json.RawMessage("null")
	}
	var event map[string]json.RawMessage
	_ = json.Unmarshal(value, &event) // a run's event is an object
	for name := range event {
		if name != "id" && name != "name" && name != "ts" {
			delete(event, name)
		}
	}
	return encode(event)
}

// encode is JSON without HTML escaping; the values always encode.
func encode(v any) json.RawMessage {
	b, err := jcs.Encode(v)
	if err != nil {
		return json.RawMessage("null")
	}
	return b
}
