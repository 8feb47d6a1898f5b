package state

import (
	"cmp"
	"slices"
)

func (o *Owned) apply(*Index, int64) {}

func (o *Marks) apply(x *Index, _ int64) {
	if o.Reset {
		x.events, x.commands = o.Events, o.Commands
	}
	x.events = max(x.events, o.Events)
	x.commands = max(x.commands, o.Commands)
	for _, m := range o.Received {
		x.received[m.Source] = max(x.received[m.Source], m.N)
	}
}

func (x *Index) outboxTo(to int) *Outbox {
	box := x.outbox[to]
	if box == nil {
		box = &Outbox{Next: 1}
		x.outbox[to] = box
	}
	return box
}

func (o *Sent) apply(x *Index, _ int64) {
	box := x.outboxTo(o.To)
	at, known := slices.BinarySearchFunc(box.Waiting, o.N, func(s Sent, n uint64) int { return cmp.Compare(s.N, n) })
	if known || o.N <= box.Confirmed {
		return // carried forward, and known already
	}
	box.Waiting = slices.Insert(box.Waiting, at, *o)
	box.Next = max(box.Next, o.N+1)
}

func (o *Confirmed) apply(x *Index, _ int64) {
	box := x.outboxTo(o.To)
	box.Confirmed = max(box.Confirmed, o.N)
	box.Next = max(box.Next, o.N+1)
	done := 0
	for done < len(box.Waiting) && box.Waiting[done].N <= box.Confirmed {
		box.Waiting[done] = Sent{} // let the message go
		done++
	}
	box.Waiting = box.Waiting[done:]
	if len(box.Waiting) == 0 {
		box.Waiting = nil
	}
}

func (o *RunPut) apply(x *Index, _ int64) {
	if old, ok := x.Run(o.Run.ID); ok {
		x.drop(old)
	}
	x.runs[o.Run.ID] = o.Run.view()
	x.size += o.Run.Size
	if flow := o.Run.Flow; flow != nil && flow.Singleton != nil {
		x.singletons[*flow.Singleton] = o.Run.ID
	}
}

func (o *RunChanged) apply(x *Index, _ int64) {
	r, ok := x.Run(o.RunID)
	if !ok {
		return
	}
	if o.StartedAt != 0 && r.StartedAt == 0 {
		r.StartedAt = o.StartedAt
	}
	if o.Version != nil {
		r.Version = *o.Version
	}
	if o.ForcePlan != nil {
		r.ForcePlan = *o.ForcePlan
	}
	r.HasAI = r.HasAI || o.HasAI
	for _, id := range o.Pending {
		if !slices.Contains(r.Pending, id) && r.stepIndex(id) < 0 {
			r.Pending = append(r.Pending, id)
		}
	}
	for _, s := range o.Steps {
		x.finishStep(r, s)
	}
	r.changeJobs(o)
	r.changeWaits(o)
	for _, d := range o.DefersPut {
		r.putDefer(d)
	}
	r.MetadataSize = max(r.MetadataSize, o.MetadataSize)
}

func (x *Index) finishStep(r *Run, s Step) {
	if r.stepIndex(s.ID) >= 0 {
		return // the first memo stays
	}
	r.Steps = append(r.Steps, s)
	r.Size += len(s.Memo)
	x.size += len(s.Memo)
	if i := slices.Index(r.Pending, s.ID); i >= 0 {
		r.Pending = slices.Delete(r.Pending, i, i+1)
	}
}

func (r *Run) changeJobs(o *RunChanged) {
	for _, id := range o.JobsDone {
		r.Jobs = slices.DeleteFunc(r.Jobs, func(j Job) bool { return j.ID == id })
	}
	for _, j := range o.JobsPut {
		if old, ok := r.Job(j.ID); ok {
			*old = j
		} else {
			r.Jobs = append(r.Jobs, j)
		}
	}
	if len(r.Jobs) == 0 {
		r.Jobs = nil
	}
}

func (r *Run) changeWaits(o *RunChanged) {
	for _, step := range o.WaitsDone {
		r.Waits = slices.DeleteFunc(r.Waits, func(w Wait) bool { return w.Step == step })
	}
	for _, w := range o.WaitsPut {
		if _, ok := r.Wait(w.Step); !ok {
			r.Waits = append(r.Waits, w)
		}
	}
	if len(r.Waits) == 0 {
		r.Waits = nil
	}
}

func (r *Run) putDefer(d Defer) {
	for i := range r.Defers {
		if r.Defers[i].ID == d.ID {
			r.Defers[i] = d
			return
		}
	}
	r.Defers = append(r.Defers, d)
}

func (o *RunFinished) apply(x *Index, _ int64) {
	if r, ok := x.Run(o.RunID); ok {
		x.drop(r)
	}
}

// drop forgets a live run, and what it holds.
func (x *Index) drop(r *Run) {
	x.size -= r.Size
	delete(x.runs, r.ID)
	if r.Flow == nil || r.Flow.Singleton == nil {
		return
	}
	if key := *r.Flow.Singleton; x.singletons[key] == r.ID {
		delete(x.singletons, key)
	}
}

func (o *WatchPut) apply(x *Index, _ int64) {
	w := o.Watch
	x.watches[w.ID] = &w
}

func (o *WatchRemoved) apply(x *Index, _ int64) { delete(x.watches, o.ID) }

func (o *SignalPut) apply(x *Index, _ int64) { x.signals[o.Name] = *o }

func (o *SignalRemoved) apply(x *Index, _ int64) { delete(x.signals, o.Name) }

func (o *CronTicked) apply(x *Index, _ int64) {
	key := CronKey{o.FunctionID, o.Expr}
	x.crons[key] = max(x.crons[key], o.At)
}

func (o *KeyClaimed) apply(x *Index, at int64) {
	if old := x.claims.entries[o.Key]; old.expires >= o.Expires {
		return
	}
	x.claims.put(o.Key, o.RunID, o.Expires, at)
}
