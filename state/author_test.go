package state

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// author writes the log of an owner that does plausible things at random: its
// records follow from the state that its earlier ones made.
type author struct {
	rng   *rand.Rand
	now   int64
	index *Index // of everything written
	ids   uint64
}

func newAuthor(seed uint64) *author {
	return &author{rng: rand.New(rand.NewPCG(seed, 1)), now: 1_700_000_000_000, index: NewIndex()}
}

// next writes a record of one to four facts and applies it.
func (a *author) next() *Record {
	a.now += a.rng.Int64N(2000)
	r := &Record{At: a.now}
	for range 1 + a.rng.IntN(4) {
		op := a.op()
		if op == nil {
			continue
		}
		a.index.ApplyOp(op, r.At)
		r.Ops = append(r.Ops, op)
	}
	return r
}

// records are the first n records.
func (a *author) records(n int) []*Record {
	out := make([]*Record, n)
	for i := range out {
		out[i] = a.next()
	}
	return out
}

func (a *author) op() Op {
	switch n := a.rng.IntN(100); {
	case n < 15:
		return a.startRun()
	case n < 42:
		return a.changeRun()
	case n < 50:
		return a.gate()
	case n < 58:
		return a.finishRun()
	case n < 64:
		return &WatchPut{a.watch()}
	case n < 68:
		return a.removeWatch()
	case n < 71:
		return &SignalPut{a.name("signal", 4), a.ulid(), a.name("step", 3)}
	case n < 74:
		return &SignalRemoved{a.name("signal", 4)}
	case n < 82:
		to := a.destination()
		return &Sent{to, a.index.NextSend(to), a.message()}
	case n < 87:
		return a.confirm()
	case n < 93:
		return a.marks()
	case n < 95:
		return &CronTicked{uuid.UUID{byte(a.rng.IntN(2))}, a.name("cron", 2), a.now - a.rng.Int64N(60_000)}
	case n < 97:
		return a.claim()
	case n < 98:
		return a.gate()
	case n < 99:
		return a.endpoint()
	case a.coin():
		return a.placed()
	}
	return &Owned{a.name("node", 3)}
}

func (a *author) name(of string, kinds int) string { return of + fmt.Sprint(a.rng.IntN(kinds)) }

func (a *author) ulid() ulid.ULID {
	a.ids++
	var id ulid.ULID
	_ = id.SetTime(uint64(a.now))
	for i := range 8 {
		id[15-i] = byte(a.ids >> (8 * i))
	}
	return id
}

func (a *author) json() json.RawMessage {
	switch a.rng.IntN(8) {
	case 0:
		return nil
	case 1:
		return json.RawMessage(`null`)
	}
	return fmt.Appendf(nil, `{"n":%d}`, a.rng.IntN(1_000_000))
}

func (a *author) coin() bool { return a.rng.IntN(2) == 0 }

// run picks a live one, in an order that does not depend on the map's.
func (a *author) run() *Run {
	ids := slices.AppendSeq(slices.Collect(maps.Keys(a.index.runs)), maps.Keys(a.index.cold))
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	r, _ := a.index.View(ids[a.rng.IntN(len(ids))])
	return r
}

func (a *author) startRun() Op {
	event := fmt.Appendf(nil, `{"data":{"n":%d},"name":"e"}`, a.rng.IntN(1000))
	run := Run{
		ID: a.ulid(), FunctionID: uuid.UUID{byte(a.rng.IntN(5))}, FunctionVersion: 1, Slug: "app-fn",
		Events: []json.RawMessage{event}, EventIDs: []ulid.ULID{a.ulid()}, Trigger: "e",
		QueuedAt: a.now, Version: Undecided, Size: len(event), Jobs: []Job{a.job()},
	}
	if a.coin() {
		run.Idempotency, run.Correlations, run.Cancels = "key", []string{"parent.step"}, []string{"stop", "halt"}
		run.Flow = a.flow()
	} else if a.coin() {
		run.Endpoint = &Endpoint{SDK: "go", Attempts: 4}
	}
	return &RunPut{run}
}

func (a *author) job() Job {
	return Job{
		ID: a.name("job", 8), Kind: JobKind(1 + a.rng.IntN(5)), Due: a.now + a.rng.Int64N(100_000),
		Attempt: a.rng.IntN(3), MaxAttempts: 4, Generation: a.rng.IntN(3), Step: a.name("step", 6),
		Outgoing: a.name("step", 6), Group: a.name("group", 2), Race: a.coin(),
	}
}

func (a *author) changeRun() Op {
	r := a.run()
	if r == nil {
		return nil
	}
	o := &RunChanged{RunID: r.ID, HasAI: a.rng.IntN(9) == 0}
	if a.rng.IntN(30) == 0 {
		o.RunID = a.ulid() // ended, or never was
	}
	if r.StartedAt == 0 && a.coin() {
		o.StartedAt = a.now
	}
	if r.Version == Undecided && a.coin() {
		version := a.rng.IntN(3)
		o.Version = &version
	}
	if a.rng.IntN(5) == 0 {
		force := a.coin()
		o.ForcePlan = &force
	}
	a.changeParts(r, o)
	return o
}

func (a *author) changeParts(r *Run, o *RunChanged) {
	if a.rng.IntN(5) == 0 {
		o.Pending = []string{a.name("step", 9), a.name("step", 9)}
	}
	for range a.rng.IntN(3) {
		o.Steps = append(o.Steps, Step{a.name("step", 9), a.json()})
	}
	for _, j := range r.Jobs {
		if a.coin() {
			o.JobsDone = append(o.JobsDone, j.ID)
		}
	}
	for range a.rng.IntN(3) {
		o.JobsPut = append(o.JobsPut, a.job())
	}
	for _, w := range r.Waits {
		if a.coin() {
			o.WaitsDone = append(o.WaitsDone, w.Step)
		}
	}
	if a.rng.IntN(3) == 0 {
		o.WaitsPut = append(o.WaitsPut, Wait{WaitKind(1 + a.rng.IntN(3)), a.name("wait", 4), "name", "group", a.coin()})
	}
	if a.rng.IntN(6) == 0 {
		o.DefersPut = append(o.DefersPut, Defer{ID: a.name("defer", 3), Slug: "slug", Status: DeferStatus(2 + a.rng.IntN(3)), Input: a.json()})
	}
}

// endpoint is what happens to runs that their apps began, and to any run from
// outside.
func (a *author) endpoint() Op {
	r := a.run()
	if r == nil {
		return nil
	}
	if a.coin() {
		return &EndpointDetached{RunID: r.ID}
	}
	put := &MetadataPut{RunID: r.ID, Attempt: -1, Items: []Metadata{{Kind: "k", Values: a.json()}}}
	put.RunSize = r.MetadataSize + put.Size()
	return put
}

// placed is what is known of runs of another engine.
func (a *author) placed() Op {
	if a.coin() {
		return &RunPlaced{ulid.ULID{15: byte(a.rng.IntN(4))}, a.rng.IntN(3)}
	}
	return &RunForgotten{ulid.ULID{15: byte(a.rng.IntN(4))}}
}

func (a *author) finishRun() Op {
	r := a.run()
	if r == nil {
		return nil
	}
	return &RunFinished{RunID: r.ID, Status: Completed, Output: a.json()}
}

func (a *author) watch() Watch {
	return Watch{
		ID: a.name("watch", 12), Event: a.name("event", 3), If: `async.data.n == 1`, RunID: a.ulid(),
		Step: a.name("step", 3), Since: a.rng.Uint64N(1000), Expires: a.now + 1000,
	}
}

func (a *author) removeWatch() Op {
	id := a.name("watch", 12)
	if w, ok := a.index.Watch(id); ok {
		return &WatchRemoved{id, w.Event}
	}
	return &WatchRemoved{id, "event"}
}

func (a *author) destination() int {
	if a.coin() {
		return EventsOf(a.rng.IntN(3))
	}
	return a.rng.IntN(3)
}

func (a *author) message() Message {
	m := Message{Kind: MessageKind(1 + a.rng.IntN(9)), RunID: a.ulid(), Step: "s", Name: "n", Text: "t", Memo: a.json(), Flag: a.coin()}
	switch a.rng.IntN(4) {
	case 0:
		w := a.watch()
		m.Watch = &w
	case 1:
		s := a.start()
		s.Correlations = []string{"r.s"}
		m.Start = &s
	case 2:
		m.Event = &SentEvent{InternalID: a.ulid(), ID: "id", Name: "e", Data: a.json(), User: a.json(), TS: a.now, V: "1", Meta: a.json()}
	}
	return m
}

func (a *author) start() Start {
	return Start{
		RunID: a.ulid(), FunctionID: uuid.UUID{1}, Idempotency: "i", Events: []json.RawMessage{a.json()},
		EventIDs: []ulid.ULID{a.ulid()}, Trigger: "e", Cron: "* * * * *", NotBefore: a.now, Mark: 7, ClaimFor: 1000,
	}
}

func (a *author) confirm() Op {
	to := a.destination()
	box := a.index.Outbox(to)
	if box == nil || len(box.Waiting) == 0 {
		return nil
	}
	return &Confirmed{to, box.Waiting[a.rng.IntN(len(box.Waiting))].N}
}

func (a *author) marks() Op {
	m := &Marks{}
	if a.coin() {
		m.Events = a.index.Events() + a.rng.Uint64N(5)
	}
	if a.coin() {
		m.Commands = a.index.Commands() + a.rng.Uint64N(5)
	}
	if a.coin() {
		source := a.destination()
		m.Received = []Mark{{source, a.index.Received(source) + 1}}
	}
	return m
}

func (a *author) claim() Op {
	key := [16]byte{byte(a.rng.IntN(6))}
	if _, taken := a.index.Claimed(key, a.now); taken {
		return nil
	}
	return &KeyClaimed{key, a.ulid(), a.now + 1 + a.rng.Int64N(60_000)}
}
