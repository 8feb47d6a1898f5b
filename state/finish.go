package state

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// The internal events (sdk-protocol §12.7, §16): those about the end of runs, and
// those by which a step invokes a function and a schedule starts one.
const (
	EventFinished  = "inngest/function.finished"
	EventFailed    = "inngest/function.failed"
	EventCancelled = "inngest/function.cancelled"
	EventDeferred  = "inngest/deferred.schedule"
	EventInvoked   = "inngest/function.invoked"
	EventScheduled = "inngest/scheduled.timer"
)

// FinishEvents are the events to publish when a run ends, in order
// (sdk-protocol §16.2-16.6). app is that of the run's function. Ids left empty
// are free to choose.
func FinishEvents(run *Run, app uuid.UUID, f *Finish) []Outgoing {
	var events []Outgoing
	for i, event := range run.Events {
		correlation := ""
		if i < len(run.Correlations) {
			correlation = run.Correlations[i]
		}
		if i > 0 && correlation == "" {
			continue
		}
		data, meta := finishData(run, f, event, correlation), metaOf(event)
		// A run about the end of a run says nothing of its own end: no loops.
		if run.Trigger != EventFinished && run.Trigger != EventFailed {
			events = append(events, Outgoing{Name: EventFinished, Data: data, Meta: meta, Correlation: correlation})
		}
		switch f.Status {
		case Failed:
			events = append(events, Outgoing{ID: run.ID.String(), Name: EventFailed, Data: data, Meta: meta})
		case Cancelled:
			events = append(events, Outgoing{ID: run.ID.String(), Name: EventCancelled, Data: data, Meta: meta})
		}
	}
	return append(events, deferEvents(run, app)...)
}

// finishData is the data of an end event, keys in canonical order.
func finishData(run *Run, f *Finish, event json.RawMessage, correlation string) json.RawMessage {
	b := make([]byte, 0, 256+2*len(event)+len(f.Output)+len(f.Error))
	b = append(b, `{"_inngest":{"status":"`...)
	b = append(b, f.Status.String()...)
	b = append(b, `"}`...)
	if correlation != "" {
		b = appendField(b, "correlation_id", quote(correlation))
	}
	if f.Status == Failed && len(f.Error) > 0 {
		b = appendField(b, "error", f.Error)
	}
	b = appendField(b, "event", event)
	b = append(b, `,"events":[`...)
	for i, e := range run.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, withoutEmptyUser(e)...)
	}
	b = append(b, ']')
	b = appendField(b, "function_id", quote(run.Slug))
	if len(f.Output) > 0 {
		b = appendField(b, "result", f.Output)
	}
	b = appendField(b, "run_id", quote(run.ID.String()))
	return append(b, '}')
}

func appendField(b []byte, name string, value []byte) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return append(b, value...)
}

// metaOf is the event's "meta" (sessions), nil when it has none.
func metaOf(event json.RawMessage) json.RawMessage {
	if !bytes.Contains(event, []byte(`"meta":`)) {
		return nil
	}
	var fields struct {
		Meta json.RawMessage `json:"meta"`
	}
	if json.Unmarshal(event, &fields) != nil {
		return nil
	}
	return fields.Meta
}

// StoredEvents are the run's events as they are stored: "user" absent when
// empty.
func (r *Run) StoredEvents() []json.RawMessage {
	events := make([]json.RawMessage, len(r.Events))
	for i, e := range r.Events {
		events[i] = withoutEmptyUser(e)
	}
	return events
}

// withoutEmptyUser is a canonical event as it is stored: "user" absent when
// empty. Only "v" can come after it.
func withoutEmptyUser(event json.RawMessage) json.RawMessage {
	const empty = `,"user":{}`
	i := bytes.LastIndex(event, []byte(empty))
	if i < 0 {
		return event
	}
	rest := event[i+len(empty):]
	if version, found := bytes.CutPrefix(rest, []byte(`,"v":"`)); found {
		if string(afterString(version)) != "}" {
			return event // both are in some other object
		}
	} else if string(rest) != "}" {
		return event
	}
	return append(event[:i:i], rest...)
}

// afterString is what follows the closing quote of a JSON string.
func afterString(b []byte) []byte {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[i+1:]
		}
	}
	return nil
}

// deferEvents start the deferred functions of an ended run. "hashed_id" is an
// addition: it lets the history tell which request a deferred run comes from.
func deferEvents(run *Run, app uuid.UUID) []Outgoing {
	var events []Outgoing
	for _, d := range run.Defers {
		if d.Status != DeferAfterRun {
			continue
		}
		var data map[string]json.RawMessage
		if json.Unmarshal(d.Input, &data) != nil || data == nil {
			data = map[string]json.RawMessage{}
		}
		about, err := json.Marshal(map[string]string{
			"fn_slug": d.Slug, "hashed_id": d.ID, "parent_app_id": app.String(), "parent_fn_id": run.FunctionID.String(),
			"parent_fn_slug": run.Slug, "parent_run_id": run.ID.String(),
		})
		if err != nil {
			continue // strings always marshal
		}
		data["_inngest"] = about
		body, err := json.Marshal(data)
		if err != nil {
			continue // raw values that unmarshalled marshal again
		}
		events = append(events, Outgoing{ID: function.DeferEventID(run.ID, d.ID).String(), Name: EventDeferred, Data: body, Meta: d.Meta})
	}
	return events
}

// InvokeMemo is the memo of a step whose invoked function ended
// (sdk-protocol §12.7).
func InvokeMemo(f *Finish) json.RawMessage {
	switch {
	case f.Status == Completed && len(f.Output) > 0:
		return wrap("data", f.Output)
	case f.Status == Completed:
		return wrap("data", json.RawMessage("null"))
	case len(f.Error) > 0:
		return wrap("error", f.Error)
	case f.Status == Cancelled:
		return InvokeErrorMemo("Error", "function cancelled")
	}
	return InvokeErrorMemo("Error", "function failed")
}

// InvokeErrorMemo is the memo of an invoke that the platform itself failed.
func InvokeErrorMemo(name, message string) json.RawMessage {
	return wrap("error", ErrorObject(name, message))
}

// ErrorObject is an error as steps and runs carry it.
func ErrorObject(name, message string) json.RawMessage {
	b := append([]byte(`{"message":`), quote(message)...)
	b = appendField(b, "name", quote(name))
	return append(b, '}')
}

// SignalMemo is the memo of a received signal; "data" twice is intended
// (sdk-protocol §12.8). data is canonical JSON.
func SignalMemo(name string, data json.RawMessage) json.RawMessage {
	if len(data) == 0 {
		data = json.RawMessage("null")
	}
	b := append([]byte(`{"data":{"data":`), data...)
	b = appendField(b, "signal", quote(name))
	return append(b, '}', '}')
}

// UnknownFunctionFinished is the data of the finished event of an invoke whose
// function does not exist.
func UnknownFunctionFinished(correlation, message string) json.RawMessage {
	b := []byte(`{"correlation_id":`)
	b = append(b, quote(correlation)...)
	b = appendField(b, "error", ErrorObject("Error", message))
	return append(b, `,"function_id":"","run_id":""}`...)
}

func wrap(key string, value json.RawMessage) json.RawMessage {
	b := make([]byte, 0, len(key)+len(value)+6)
	b = append(b, '{', '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	b = append(b, value...)
	return append(b, '}')
}

// quote is s as a JSON string without HTML escaping.
func quote(s string) json.RawMessage { return encode(s) }

// ParseCorrelation splits "<run>.<step>" (sdk-protocol §4.7).
func ParseCorrelation(s string) (run ulid.ULID, step string, ok bool) {
	id, step, found := strings.Cut(s, ".")
	if !found {
		return run, "", false
	}
	run, err := ulid.ParseStrict(id)
	return run, step, err == nil && step != ""
}
