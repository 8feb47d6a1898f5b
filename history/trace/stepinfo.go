package trace

import (
	"encoding/json"
	"time"
)

// stepInfoOf reads what a span says about its step.
func stepInfoOf(s *span, op StepOp) StepInfo {
	a := s.attrs
	switch op {
	case OpInvoke:
		return InvokeInfo{
			TriggeringEventID: a.text(attrInvokeEvent), FunctionID: a.text(attrInvokeFn), Timeout: a.moment(attrExpiry),
			ReturnEventID: a.optional(attrInvokeDone), RunID: a.optional(attrInvokeRun), TimedOut: a.flag(attrExpired),
		}
	case OpSleep:
		return SleepInfo{Until: queuedAt(s).Add(sleepOf(s))}
	case OpWait:
		return WaitInfo{
			EventName: a.text(attrWaitEvent), Expression: a.optional(attrWaitIf), Timeout: a.moment(attrExpiry),
			FoundEventID: a.optional(attrWaitMatch), TimedOut: a.flag(attrExpired),
		}
	case OpSignal:
		return SignalInfo{Signal: a.text(attrSignal), Timeout: a.moment(attrExpiry), TimedOut: a.flag(attrExpired)}
	case OpRun:
		return RunInfo{Type: a.optional(attrRunType)}
	default:
		return nil
	}
}

func sleepOf(s *span) time.Duration {
	ms, _ := s.attrs.number(attrSleep)
	return time.Duration(ms) * time.Millisecond
}

func queuedAt(s *span) time.Time {
	if at := s.attrs.moment(attrQueuedAt); !at.IsZero() {
		return at
	}
	return s.first.Start
}

// responseOf is nil unless both code and headers are known.
func responseOf(s *span) *Response {
	code, ok := s.attrs.number(attrResponseStatus)
	headers := s.attrs.nested(attrResponseHeaders)
	if !ok || headers == nil {
		return nil
	}
	return &Response{StatusCode: int(code), Headers: headers}
}

// userlandOf describes a span of user code.
func userlandOf(s *span) *Userland {
	if !s.isUserland() {
		return nil
	}
	a := s.attrs
	return &Userland{
		SpanName: a.text("userland.span.name"), SpanKind: a.text("userland.span.kind"),
		ServiceName: a.text("userland.service.name"), ScopeName: a.text("userland.scope.name"),
		ScopeVersion: a.text("userland.scope.version"), ResourceAttributes: a.text("userland.resource.attributes"),
		SpanAttributes: foreignAttributes(s.first.Attributes),
	}
}

// foreignAttributes are those that the user set: all without our prefix.
func foreignAttributes(column json.RawMessage) string {
	var all map[string]json.RawMessage
	if json.Unmarshal(column, &all) != nil {
		return "{}"
	}
	for key := range all {
		if len(key) > len(attributePrefix) && key[:len(attributePrefix)] == attributePrefix {
			delete(all, key)
		}
	}
	text, _ := json.Marshal(all) // of raw messages that were just read
	return string(text)
}
