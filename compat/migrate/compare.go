package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"jetstep/state"
)

// Difference is a field in which two items differ; "" is one that is absent.
type Difference struct{ Field, Here, There string }

// Compare tells in what two readings of an item differ. What only one kind of
// storage keeps is left out: how large a run is, when it was queued, which event
// an invoke sent, limits that are looked up anew, the names of defers.
func Compare(here, there *Item) []Difference {
	a, b := fieldsOf(here), fieldsOf(there)
	if here.Claim != nil && there.Claim != nil && apart(here.Claim.Until, there.Claim.Until) {
		a["until"], b["until"] = strconv.FormatInt(here.Claim.Until, 10), strconv.FormatInt(there.Claim.Until, 10)
	}
	if here.Debounce != nil && there.Debounce != nil && (here.Debounce.Text == nil || there.Debounce.Text == nil) {
		delete(a, "key")
		delete(b, "key")
	}
	names := maps.Clone(a)
	maps.Copy(names, b)
	var all []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if a[name] != b[name] {
			all = append(all, Difference{name, a[name], b[name]})
		}
	}
	return all
}

// tolerance is how much later than another a time may be read, of what is kept for
// a time, in milliseconds.
const tolerance = 10_000

func apart(a, b int64) bool { return max(a-b, b-a) > tolerance }

// Differs is the outcome for an item that is in the target, if it differs there. A
// run of which the target has all steps has gone on; anything else conflicts.
func Differs(item, there *Item) Outcome {
	differences := Compare(item, there)
	if len(differences) == 0 {
		return Outcome{Result: There}
	}
	if item.Run != nil && there.Run != nil && item.Run.State.FunctionID == there.Run.State.FunctionID && continues(&item.Run.State, &there.Run.State) {
		return Outcome{WentOn, "it has gone on in the target"}
	}
	d := differences[0]
	return Outcome{Conflicts, fmt.Sprintf("the target has another one: %s is %.100q and not %.100q", d.Field, d.There, d.Here)}
}

// continues tells whether later has everything that earlier has done.
func continues(earlier, later *state.Run) bool {
	if len(later.Steps) < len(earlier.Steps) || later.StartedAt < earlier.StartedAt {
		return false
	}
	for _, step := range earlier.Steps {
		if _, ok := later.Memo(step.ID); !ok {
			return false
		}
	}
	return true
}

// fieldsOf are the fields that are compared, as texts. Absent ones are left out.
func fieldsOf(i *Item) map[string]string {
	f := fields{}
	switch {
	case i.Run != nil:
		f.run(i.Run)
	case i.Claim != nil:
		f.text("run", i.Claim.RunID.String())
		f.flag("ended", i.Claim.Ended)
	case i.Batch != nil:
		f.batch(i.Batch)
	case i.Debounce != nil:
		f.debounce(i.Debounce)
	case i.Rate != nil:
		f.text("arrival", strconv.FormatFloat(i.Rate.TAT, 'g', 15, 64))
	case i.Semaphore != nil:
		f.number("used", i.Semaphore.Used)
	case i.Cron != nil:
		f.text("function", i.Cron.FunctionID.String())
		f.time("next", i.Cron.Next)
	}
	return f
}

type fields map[string]string

func (f fields) text(name, value string) {
	if value != "" {
		f[name] = value
	}
}

func (f fields) number(name string, n int) {
	if n != 0 {
		f[name] = strconv.Itoa(n)
	}
}

func (f fields) flag(name string, set bool) {
	if set {
		f[name] = "true"
	}
}

// time is a time in whole seconds, of what is kept with a time to live.
func (f fields) time(name string, ms int64) { f.text(name, strconv.FormatInt((ms+500)/1000, 10)) }

func (f fields) run(r *Run) {
	s := &r.State
	f.text("function", s.FunctionID.String())
	f.number("function version", s.FunctionVersion)
	f.text("slug", s.Slug)
	f.text("app", r.AppID.String())
	f.text("key", s.Idempotency)
	f.text("trigger", s.Trigger)
	f.text("cron", s.Cron)
	for i, event := range s.Events {
		f.text(fmt.Sprintf("event %d", i), string(event))
	}
	f.text("event ids", fmt.Sprint(s.EventIDs))
	f.text("correlations", strings.Join(s.Correlations, ","))
	f.text("started", strconv.FormatInt(s.StartedAt, 10))
	if e := s.Endpoint; e != nil {
		f.text("endpoint", fmt.Sprintf("%s, %d attempts, since %d", e.SDK, e.Attempts, e.AsyncAt))
	}
	f.text("request version", strconv.Itoa(s.Version))
	f.flag("plans", s.ForcePlan)
	f.flag("ai", s.HasAI)
	for i, step := range s.Steps {
		f.text(fmt.Sprintf("step %d", i), step.ID+" "+string(step.Memo))
	}
	for _, input := range s.Inputs {
		f.text("input "+input.ID, string(input.Memo))
	}
	f.text("pending", strings.Join(slices.Sorted(slices.Values(s.Pending)), " "))
	f.jobs(r)
	f.waits(r)
	for _, d := range s.Defers {
		f.text("defer "+d.ID, fmt.Sprintf("%s %d %s %s", d.Slug, d.Status, d.Input, d.Meta))
	}
	f.limits(r)
	f.number("bytes attached", s.MetadataSize)
	if !s.Original.IsZero() {
		f.text("original", s.Original.String())
	}
}

func (f fields) jobs(r *Run) {
	for _, j := range r.State.Jobs {
		attempts := strconv.Itoa(j.MaxAttempts)
		if j.Kind == state.JobStart {
			attempts = "those of the function"
		}
		f.text("job "+j.ID, fmt.Sprintf("%s due %d, attempt %d of %s, generation %d, step %q after %q, group %q race %t",
			j.Kind, j.Due, j.Attempt, attempts, j.Generation, j.Step, j.Outgoing, j.Group, j.Race))
	}
}

func (f fields) waits(r *Run) {
	for i, w := range r.State.Waits {
		var more Wait
		if i < len(r.Waits) {
			more = r.Waits[i]
		}
		f.text("wait "+w.Step, fmt.Sprintf("%d for %q if %q, group %q race %t displaced %t", w.Kind, w.Name, more.If, w.Group, w.Race, more.Displaced))
	}
	var cancels []string
	for i, event := range r.State.Cancels {
		text := strconv.Quote(event)
		if i < len(r.Cancels) {
			text += fmt.Sprintf(" if %q until %d", r.Cancels[i].If, r.Cancels[i].Expires)
		}
		cancels = append(cancels, text)
	}
	slices.Sort(cancels)
	for i, text := range cancels {
		f.text(fmt.Sprintf("cancel %d", i), text)
	}
}

func (f fields) limits(r *Run) {
	if flow := r.State.Flow; flow != nil {
		f.number("priority", flow.Priority)
		if !flow.BatchID.IsZero() {
			f.text("batch", flow.BatchID.String())
		}
	}
	for _, k := range r.Keys {
		f.text("key "+k.Scope+" "+k.Expr, k.Value)
	}
	for _, h := range r.Semaphores {
		f.text("semaphore "+h.ID, fmt.Sprintf("%s %d", h.Value, h.Weight))
	}
	if t := r.Throttle; t != nil && slices.ContainsFunc(r.State.Jobs, func(j state.Job) bool { return j.Kind == state.JobStart }) {
		f.text("throttle", cmp.Or(t.Expr, "all")+" "+t.Value)
	}
	f.text("singleton", r.Singleton)
}

func (f fields) batch(b *Batch) {
	f.text("function", b.FunctionID.String())
	f.text("key", b.KeyHash)
	f.flag("collects", b.Collects)
	f.text("event ids", fmt.Sprint(b.EventIDs))
	for i, event := range b.Events {
		f.text(fmt.Sprintf("event %d", i), string(event))
	}
	f.text("due", strconv.FormatInt(b.Due, 10))
}

func (f fields) debounce(d *Debounce) {
	f.text("function", d.FunctionID.String())
	if d.Text != nil {
		f.text("key", *d.Text)
	}
	f.text("event", string(d.Event))
	f.text("event id", d.EventID.String())
	f.text("due", strconv.FormatInt(d.Due, 10))
	f.text("latest", strconv.FormatInt(d.Latest, 10))
}
