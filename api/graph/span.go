package graph

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/trace"
)

// toSpan converts a node of a trace and all below it.
func toSpan(n *trace.Node, parent *generated.RunTraceSpan) (*generated.RunTraceSpan, error) {
	s := &generated.RunTraceSpan{
		SpanID: n.SpanID, TraceID: n.TraceID, GroupID: n.GroupID, Name: n.Name, Status: generated.RunTraceSpanStatus(n.Status),
		Attempts: &n.Attempts, OutputID: textPtr(n.OutputID), QueuedAt: n.QueuedAt.UTC(), ScheduledAt: timePtr(n.ScheduledAt),
		StartedAt: timePtr(n.StartedAt), EndedAt: timePtr(n.EndedAt), StepOp: textPtr(generated.StepOp(n.StepOp)),
		StepID: textPtr(n.StepID), StepInfo: toStepInfo(n.StepInfo), StepType: n.StepType, IsRoot: n.IsRoot,
		ParentSpanID: n.ParentID, ParentSpan: parent, IsUserland: n.Userland != nil, UserlandSpan: toUserland(n.Userland),
		DebugRunID: optionalULID(&n.DebugRunID), DebugSessionID: optionalULID(&n.DebugSessionID),
		SkipReason: n.SkipReason, SkipExistingRunID: n.SkipExistingRun,
		Metadata: []*generated.SpanMetadata{}, ChildrenSpans: []*generated.RunTraceSpan{},
	}
	if err := setOwner(s, n); err != nil {
		return nil, err
	}
	if n.Duration != nil {
		s.Duration = ptr(int(n.Duration.Milliseconds()))
	}
	if n.Response != nil {
		s.Response = &generated.RunTraceSpanResponseInfo{StatusCode: n.Response.StatusCode, Headers: n.Response.Headers}
	}
	for _, m := range n.Metadata {
		values, err := json.Marshal(m.Values)
		if err != nil {
			return nil, fmt.Errorf("writing metadata %s: %w", m.Kind, err)
		}
		s.Metadata = append(s.Metadata, &generated.SpanMetadata{Scope: m.Scope, Kind: m.Kind, Values: values, UpdatedAt: m.UpdatedAt.UTC()})
	}
	for _, child := range n.Children {
		converted, err := toSpan(child, s)
		if err != nil {
			return nil, err
		}
		s.ChildrenSpans = append(s.ChildrenSpans, converted)
	}
	return s, nil
}

// setOwner says whose span it is.
func setOwner(s *generated.RunTraceSpan, n *trace.Node) (err error) {
	if s.RunID, err = ulid.ParseStrict(n.RunID); err != nil {
		return fmt.Errorf("span %s: run id: %w", n.SpanID, err)
	}
	if s.AppID, err = uuid.Parse(n.AppID); err != nil {
		return fmt.Errorf("span %s: app id: %w", n.SpanID, err)
	}
	if s.FunctionID, err = uuid.Parse(n.FunctionID); err != nil {
		return fmt.Errorf("span %s: function id: %w", n.SpanID, err)
	}
	return nil
}

// optionalULID is nil for what is absent or no id.
func optionalULID(text *string) *ulid.ULID {
	if text == nil {
		return nil
	}
	id, err := ulid.ParseStrict(*text)
	if err != nil {
		return nil
	}
	return &id
}

func toStepInfo(info trace.StepInfo) generated.StepInfo {
	switch i := info.(type) {
	case trace.InvokeInfo:
		invoke := generated.InvokeStepInfo{
			FunctionID: i.FunctionID, Timeout: i.Timeout, ReturnEventID: optionalULID(i.ReturnEventID),
			RunID: optionalULID(i.RunID), TimedOut: i.TimedOut,
		}
		if id := optionalULID(&i.TriggeringEventID); id != nil {
			invoke.TriggeringEventID = *id
		}
		return invoke
	case trace.SleepInfo:
		return generated.SleepStepInfo{SleepUntil: i.Until}
	case trace.WaitInfo:
		return generated.WaitForEventStepInfo{
			EventName: i.EventName, Expression: i.Expression, Timeout: i.Timeout,
			FoundEventID: optionalULID(i.FoundEventID), TimedOut: i.TimedOut,
		}
	case trace.SignalInfo:
		return generated.WaitForSignalStepInfo{Signal: i.Signal, Timeout: i.Timeout, TimedOut: i.TimedOut}
	case trace.RunInfo:
		return generated.RunStepInfo{Type: i.Type}
	default:
		return nil
	}
}

func toUserland(u *trace.Userland) *generated.UserlandSpan {
	if u == nil {
		return nil
	}
	return &generated.UserlandSpan{
		SpanName: textPtr(u.SpanName), SpanKind: textPtr(u.SpanKind), ServiceName: textPtr(u.ServiceName),
		ResourceAttrs: textPtr(u.ResourceAttributes), ScopeName: textPtr(u.ScopeName), ScopeVersion: textPtr(u.ScopeVersion),
		SpanAttrs: textPtr(u.SpanAttributes),
	}
}
