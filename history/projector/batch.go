package projector

import (
	"encoding/json"
	"sync"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/state"
)

// Functions finds the function that a run executes, and its app. A
// *bus.Registry is one.
type Functions interface {
	Executable(id uuid.UUID) (fn *function.Function, app uuid.UUID, ok bool)
}

// batch translates records into rows. It does no I/O. What several records say
// of one run's own span is folded: the rows that say so are made by seal.
type batch struct {
	functions Functions
	rows      database.Records
	runs      map[ulid.ULID]*run
	order     []*run
	attrs     attributes
	arena     []byte

	// again is set when rows of these records may be in the database already,
	// perhaps others than would be made now: nothing is folded then.
	again bool
	// recalls is set when that is so of some runs.
	recalls bool

	seq uint64 // position of the record that is being translated
	nth int    // facts with an id of their place so far, of that position
	at  int64  // time of that record
}

// run is what a batch says of one run.
type run struct {
	identity
	begun    *state.Run // nil when an earlier batch has it
	begunAt  int64      // milliseconds, as all times
	started  int64      // 0 if not in this batch
	detached int64      // likewise
	finished *state.RunFinished
	ended    int64
	last     *state.Called // the call that ended it, nil for none
	recalled bool          // rows of its beginning may be in the database already
	// What entries repeat of it, as far as anything in the batch says it.
	event ulid.ULID
	key   string
}

// about notes what entries repeat.
func (r *run) about(event ulid.ULID, idempotency string) {
	if r.event.IsZero() {
		r.event = event
	}
	if r.key == "" && idempotency != "" {
		r.key = r.fn.String() + ":" + idempotency
	}
}

// identity is what all rows of a run have in common.
type identity struct {
	id        ulid.ULID
	fn        uuid.UUID
	app       uuid.UUID
	traceID   string
	spanID    string // of the run's own span, the root
	functions *function.Function
}

// identify is what the id alone says of a run.
func identify(id ulid.ULID) identity {
	root := trace.RunID(id)
	return identity{id: id, traceID: root.Trace, spanID: root.Span}
}

func newBatch(functions Functions, again bool) *batch {
	return &batch{functions: functions, runs: map[ulid.ULID]*run{}, again: again}
}

// spare are rows of batches that have been written: a batch has megabytes of
// them, and would grow anew each time.
var spare = sync.Pool{New: func() any { return new(database.Records) }}

// recycle gives up the batch's rows.
func (b *batch) recycle() {
	r := &b.rows
	spare.Put(&database.Records{
		Events: emptied(r.Events), Runs: emptied(r.Runs), Finishes: emptied(r.Finishes), History: emptied(r.History),
		TraceRuns: emptied(r.TraceRuns), Spans: emptied(r.Spans),
	})
	b.rows = database.Records{}
}

// emptied keeps the room of a list and nothing that it refers to.
func emptied[R any](rows []R) []R {
	clear(rows)
	return rows[:0]
}

// touch finds what the batch says of a run, or begins to.
func (b *batch) touch(id ulid.ULID, fn uuid.UUID) *run {
	if r, ok := b.runs[id]; ok {
		return r
	}
	r := &run{identity: identify(id)}
	r.fn = fn
	r.functions, r.app, _ = b.functions.Executable(fn) // an unknown function's rows have no app
	b.runs[id] = r
	b.order = append(b.order, r)
	return r
}

// touched are the runs that the batch says something of.
func (b *batch) touched() []ulid.ULID {
	ids := make([]ulid.ULID, len(b.order))
	for i, r := range b.order {
		ids[i] = r.id
	}
	return ids
}

// size is about how many rows there will be.
func (b *batch) size() int {
	return len(b.rows.Spans) + len(b.rows.History) + len(b.rows.Events) + 4*len(b.order)
}

// span begins a row with what all rows of the run have in common.
func (i *identity) span(name, spanID, dynamicID, parent string, start, end int64) database.Span {
	return database.Span{
		SpanID: spanID, TraceID: i.traceID, ParentSpanID: parent, DynamicSpanID: dynamicID, Name: name,
		StartTime: moment(start), EndTime: moment(end),
		AccountID: function.AccountID, EnvID: function.EnvironmentID, AppID: i.app, FunctionID: i.fn, RunID: i.id,
	}
}

func (b *batch) addSpan(s database.Span, a *attributes) {
	s.Attributes = b.done(a)
	b.rows.Spans = append(b.rows.Spans, s)
}

// arenaSize is how much is allocated at once for the JSON of rows, in bytes.
const arenaSize = 64 << 10

// room is an empty slice of the arena with at least that capacity. keep must
// follow before the next one.
func (b *batch) room(size int) []byte {
	if cap(b.arena)-len(b.arena) < size {
		b.arena = make([]byte, 0, max(arenaSize, size))
	}
	return b.arena[len(b.arena):len(b.arena):cap(b.arena)]
}

// keep takes what was appended to a room for good.
func (b *batch) keep(text []byte) json.RawMessage {
	if len(text) <= cap(b.arena)-len(b.arena) {
		b.arena = b.arena[:len(b.arena)+len(text)]
	} // else it has outgrown the arena and is by itself
	return text[:len(text):len(text)]
}

// wrapped is the form of an output: {"data":…} or {"error":…} (database §11.1).
func (b *batch) wrapped(key string, value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	text := append(b.room(len(key)+len(value)+8), '{', '"')
	text = append(append(text, key...), '"', ':')
	return b.keep(append(append(text, value...), '}'))
}
