package trace

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Keys of attributes, without their prefix (database §11.4).
const (
	attrQueuedAt    = "queued_at"
	attrScheduledAt = "scheduled_at"
	attrStartedAt   = "started_at"
	attrEndedAt     = "ended_at"
	attrStatus      = "dynamic.status"
	attrGroup       = "job.group.id"
	attrDrop        = "executor.drop"
	attrRetryable   = "retryable"
	attrFuncOutput  = "is.function.output"
	attrSlug        = "function.slug"

	attrStepID      = "step.id"
	attrStepName    = "step.name"
	attrStepUserID  = "step.userland.id"
	attrStepOp      = "step.op"
	attrStepAttempt = "step.attempt"
	attrMaxAttempts = "step.max_attempts"
	attrRunType     = "step.run.type"
	attrSleep       = "step.sleep.duration"
	attrExpiry      = "step.wait.expiry"
	attrExpired     = "step.wait.expired"
	attrWaitEvent   = "step.wait_for_event.name"
	attrWaitIf      = "step.wait_for_event.if"
	attrWaitMatch   = "step.wait_for_event.matched_id"
	attrSignal      = "step.signal.name"
	attrInvokeFn    = "step.invoke.function.id"
	attrInvokeEvent = "step.invoke.trigger.event.id"
	attrInvokeRun   = "step.invoke.run.id"
	attrInvokeDone  = "step.invoke.finish.event.id"

	attrResponseStatus  = "response.status_code"
	attrResponseHeaders = "response.headers"
	attrSkipReason      = "run.skip_reason"
	attrSkipExisting    = "run.skip_existing_run_id"
	attrOriginal        = "run.replay_original_run_id"
	attrDebugRun        = "debug.run.id"
	attrDebugSession    = "debug.session.id"

	attrMetaKind   = "metadata.kind"
	attrMetaOp     = "metadata.op"
	attrMetaScope  = "metadata.scope"
	attrMetaValues = "metadata.values"

	attrUserland = "userland"
)

const attributePrefix = "_inngest."

// attributes are those of a span by key without prefix. Values are whatever the
// writer stored; a getter that cannot read one says that it is absent.
type attributes map[string]json.RawMessage

// parseAttributes reads the column, also when it was encoded twice.
func parseAttributes(column json.RawMessage) attributes {
	var inner string
	if json.Unmarshal(column, &inner) == nil {
		column = json.RawMessage(inner)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(column, &object) != nil {
		return attributes{}
	}
	parsed := make(attributes, len(object))
	for key, value := range object {
		if name, ok := strings.CutPrefix(key, attributePrefix); ok && string(value) != "null" {
			parsed[name] = value
		}
	}
	return parsed
}

// overlay takes over what the later row knows.
func (a attributes) overlay(later attributes) { maps.Copy(a, later) }

// text is a string, or empty.
func (a attributes) text(key string) string {
	var s string
	_ = json.Unmarshal(a[key], &s) // absent or of another type: empty
	return s
}

// optional is a string, or nil when it is absent or empty.
func (a attributes) optional(key string) *string {
	if s := a.text(key); s != "" {
		return &s
	}
	return nil
}

// number is an integer, stored as a number or in a string.
func (a attributes) number(key string) (int64, bool) {
	raw := strings.Trim(string(a[key]), `"`)
	n, err := strconv.ParseInt(raw, 10, 64)
	return n, err == nil
}

func (a attributes) is(key string) bool { return string(a[key]) == "true" }

// flag is a boolean, nil when absent.
func (a attributes) flag(key string) *bool {
	switch string(a[key]) {
	case "true", "false":
		value := a.is(key)
		return &value
	}
	return nil
}

// moment is a time in milliseconds since 1970, zero when absent.
func (a attributes) moment(key string) time.Time {
	ms, ok := a.number(key)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// nested is JSON that was stored in a string, nil when absent or broken.
func (a attributes) nested(key string) json.RawMessage {
	if text := a.text(key); json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return nil
}
