package v2

import (
	"errors"
	"net/http"

	"jetstep/history/trace"
)

func (s *server) trace(r *http.Request, path []string) (*answer, error) {
	withOutput, err := paramsOf(r).flag("includeOutput")
	if err != nil {
		return nil, err
	}
	id, err := parseRunID(path[0])
	if err != nil {
		return nil, err
	}
	rows, err := s.Reader.Spans(r.Context(), id)
	if err != nil {
		return nil, err
	}
	run, err := trace.Assemble(rows)
	if errors.Is(err, trace.ErrNoRoot) {
		return nil, missing("Trace not found")
	}
	if err != nil {
		return nil, err
	}
	if !withOutput {
		rows = nil
	}
	return single(object{"rootSpan": showSpan(run.Preview(), rows), "runId": id.String()})
}

// showSpan is a node and all below it; outputs are read from rows, if there are.
func showSpan(n *trace.Node, rows []trace.Row) object {
	o := object{"id": n.SpanID}
	o.set("name", n.Name)
	o.set("status", spanStatus(n.Status))
	o.set("stepOp", string(n.StepOp))
	o.set("stepId", n.StepID)
	if n.Duration != nil {
		o.set("durationMs", millis(*n.Duration))
	}
	o.set("queuedAt", stamp(n.QueuedAt))
	o.set("startedAt", stamp(n.StartedAt))
	o.set("endedAt", stamp(n.EndedAt))
	o.set("metadata", showMetadata(n.Metadata))
	if ref, err := trace.ParseOutputID(n.OutputID); err == nil && rows != nil {
		addOutput(o, rows, ref)
	}
	var children []object
	for _, child := range n.Children {
		children = append(children, showSpan(child, rows))
	}
	o.set("children", children)
	return o
}

// spanStatus has no word for what is queued.
func spanStatus(status trace.Status) string {
	if status == trace.Queued {
		status = trace.Waiting
	}
	return string(status)
}

func showMetadata(all []trace.Metadata) []object {
	var shown []object
	for _, m := range all {
		values := map[string]string{}
		for key, raw := range m.Values {
			values[key] = string(raw) // JSON as text
		}
		o := object{"kind": m.Kind, "scope": m.Scope}
		o.set("values", values)
		o.set("updatedAt", stamp(m.UpdatedAt))
		shown = append(shown, o)
	}
	return shown
}

func addOutput(o object, rows []trace.Row, ref trace.OutputRef) {
	for _, row := range rows {
		if row.SpanID == ref.SpanID && row.Output != nil {
			o.set("output", structure(trace.Inner(row.Output)))
		}
		if row.SpanID == ref.InputID && row.Input != nil {
			o.set("input", structure(row.Input))
		}
	}
}
