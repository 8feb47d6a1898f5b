package ingest

import (
	"encoding/json"
	"strings"

	"jetstep/bus"
)

// HeaderTraceparent is where W3C Trace Context has the span in which a request
// was sent.
const HeaderTraceparent = "Traceparent"

// linkTrace notes with each event the span in which it was sent (http-api §5,
// "Trace context"): meta is {"traceparent":…}, beside the sessions if there are
// any. What is no traceparent is as good as none, as the standard says.
func linkTrace(events []*bus.Event, traceparent string) {
	if !isTraceparent(traceparent) {
		return
	}
	member := `"traceparent":"` + traceparent + `"}`
	alone := json.RawMessage("{" + member)
	for _, e := range events {
		if len(e.Meta) <= len("{}") {
			e.Meta = alone
			continue
		}
		// "sessions", the only member, comes before it in canonical JSON.
		sessions := e.Meta[:len(e.Meta)-1]
		e.Meta = append(append(append(make([]byte, 0, len(sessions)+1+len(member)), sessions...), ','), member...)
	}
}

// isTraceparent tells whether it is one of version 00 with ids that are not
// zero.
func isTraceparent(s string) bool {
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	traceID, span, flags := s[3:35], s[36:52], s[53:]
	return isHex(traceID) && isHex(span) && isHex(flags) && strings.Trim(traceID, "0") != "" && strings.Trim(span, "0") != ""
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
