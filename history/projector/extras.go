package projector

import (
	"bytes"
	"cmp"
	"encoding/json"

	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
	"jetstep/state"
)

// opMetadata writes what an op of an answer attaches to its run, to its step or
// to the request (sdk-protocol §20.6). step is empty when the op has no span.
func (b *batch) opMetadata(run *run, op *state.CalledOp, step, request string) {
	if len(op.Metadata) == 0 {
		return
	}
	items, _ := state.ParseMetadata(op.Metadata) // whoever took the answer has warned of what is left out
	for i := range items {
		parent := cmp.Or(step, request, run.spanID)
		switch items[i].Scope {
		case "run":
			parent = run.spanID
		case "request":
			parent = cmp.Or(request, parent)
		}
		b.metadata(run, &items[i], parent)
	}
}

// metadataPut writes what was attached from outside of a run's calls.
func (b *batch) metadataPut(o *state.MetadataPut) {
	run := b.touch(o.RunID, o.FunctionID)
	parent := run.spanID
	switch {
	case o.Span != "":
		parent = o.Span
	case o.Step != "":
		parent = stepSpan(o.Step)
	}
	for i := range o.Items {
		b.metadata(run, &o.Items[i], parent)
	}
}

// metadata writes one row, which readers combine with others of the kind below
// the same parent.
func (b *batch) metadata(run *run, m *state.Metadata, parent string) {
	b.nth++
	a := b.attributes()
	a.text("metadata.kind", m.Kind)
	a.plain("metadata.op", m.Op)
	a.plain("metadata.scope", m.Scope)
	a.nested("metadata.values", m.Values)
	place := int(b.seq)<<16 | b.nth&0xffff
	id := derived(run.id, ofMetadata, parent+m.Kind, place)
	b.addSpan(run.span(trace.NameMetadata, id, trace.MetadataID(parent, m.Kind), parent, b.at, b.at), a)
}

// deferStatuses are the names of what becomes of a deferred run (database §11.4).
var deferStatuses = map[state.DeferStatus]string{
	state.DeferAfterRun: "after_run", state.DeferAborted: "aborted", state.DeferRejected: "rejected",
}

// deferred writes what a run asked to be run after it.
func (b *batch) deferred(run *run, d *state.Defer) {
	a := b.attributes()
	a.text("defer.hashed_id", d.ID)
	a.text("defer.userland_id", d.UserID)
	a.text("defer.fn_slug", d.Slug)
	a.plain("defer.status", deferStatuses[d.Status])
	id := derived(run.id, ofDefer, d.ID, int(d.Status))
	s := run.span(trace.NameDefer, id, trace.DeferID(run.id, d.ID).Span, run.spanID, b.at, b.at)
	s.Input = d.Input
	b.addSpan(s, a)
}

// deferOrigin is what the event of a deferred run says of who deferred it.
type deferOrigin struct {
	Slug   string    `json:"fn_slug"`
	Parent string    `json:"parent_fn_slug"`
	RunID  ulid.ULID `json:"parent_run_id"`
	Step   string    `json:"hashed_id"`
}

// originOf is nil for runs that were not deferred.
func originOf(begun *state.Run) *deferOrigin {
	if begun.Trigger != state.EventDeferred || len(begun.Events) == 0 {
		return nil
	}
	var event struct {
		Data struct {
			Origin deferOrigin `json:"_inngest"`
		} `json:"data"`
	}
	if json.Unmarshal(begun.Events[0], &event) != nil || event.Data.Origin.RunID.IsZero() {
		return nil
	}
	return &event.Data.Origin
}

// debugOf is what a run was made for by somebody who looks into the function: its
// event says so where it was invoked for that. It is nil for others.
func debugOf(begun *state.Run) *state.Debug {
	if begun.Debug != nil || begun.Trigger != state.EventInvoked || len(begun.Events) == 0 || !bytes.Contains(begun.Events[0], []byte(`"debug_`)) {
		return begun.Debug
	}
	var event struct {
		Data struct {
			Invocation struct {
				Session ulid.ULID `json:"debug_session_id"`
				Run     ulid.ULID `json:"debug_run_id"`
			} `json:"_inngest"`
		} `json:"data"`
	}
	if json.Unmarshal(begun.Events[0], &event) != nil {
		return nil
	}
	return &state.Debug{Session: event.Data.Invocation.Session, Run: event.Data.Invocation.Run}
}

// textOf is empty for no id.
func textOf(id ulid.ULID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (o *deferOrigin) tell(a *attributes) {
	if o == nil {
		return
	}
	a.ids("defer.parent_run_ids", []ulid.ULID{o.RunID})
	a.text("defer.parent_fn_slug", o.Parent)
	a.text("defer.fn_slug", o.Slug)
}

// deferScheduled tells the run that deferred another which one it became.
func (b *batch) deferScheduled(o *deferOrigin, child *state.Run) {
	if o == nil || o.Step == "" {
		return
	}
	of := identify(o.RunID)
	a := b.attributes()
	a.plain("defer.status", "scheduled")
	a.id("defer.child_run_id", child.ID)
	id := derived(o.RunID, ofDefer, o.Step, -1)
	b.addSpan(of.span(trace.NameExtension, id, trace.DeferID(o.RunID, o.Step).Span, of.spanID, b.at, b.at), a)
}
