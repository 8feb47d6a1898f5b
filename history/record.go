package history

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/bus"
	"jetstep/state"
)

// eventRecord is an event and what it costs. It does not change.
type eventRecord struct {
	id         ulid.ULID
	name       string
	seq        uint64
	receivedAt time.Time
	matched    int
	bytes      int64
	event      *bus.Event // nil when the source has it
}

// runRecord is a run in the lists that it belongs to. A run that has not ended
// is kept however long it sleeps, so that it takes little: times are in
// milliseconds, and what only ended or unusual runs have is in more.
type runRecord struct {
	id, event           ulid.ULID // event is zero for none
	function            uuid.UUID
	version             int32
	status              state.Status
	queuedAt, startedAt int64
	more                *runDetails // nil for none
	earlier, later      *runRecord  // by scheduling, among all runs
	previous            *runRecord  // scheduled before by the same event
}

type runDetails struct {
	endedAt                int64
	output                 json.RawMessage
	bytes                  int64       // counted once it has ended
	events                 []ulid.ULID // all of a batch
	reason, cron           string
	originalRunID, batchID *ulid.ULID
	existingRunID          *ulid.ULID
}

// details are the record's own, made when they are first needed.
func (r *runRecord) details() *runDetails {
	if r.more == nil {
		r.more = new(runDetails)
	}
	return r.more
}

func newRunRecord(run Run) *runRecord {
	r := &runRecord{
		id: run.ID, event: run.EventID(), function: run.FunctionID, version: int32(run.FunctionVersion), status: run.Status,
		queuedAt: millis(run.QueuedAt), startedAt: millis(run.StartedAt),
	}
	more := runDetails{
		endedAt: millis(run.EndedAt), output: run.Output, reason: run.Reason, cron: run.Cron,
		originalRunID: run.OriginalRunID, batchID: run.BatchID, existingRunID: run.ExistingRunID,
	}
	if len(run.EventIDs) > 1 {
		more.events = run.EventIDs
	}
	if more.endedAt != 0 || more.output != nil || more.events != nil || more.reason != "" || more.cron != "" ||
		more.originalRunID != nil || more.batchID != nil || more.existingRunID != nil {
		r.more = &more
	}
	return r
}

// run is the record as readers see it.
func (r *runRecord) run() Run {
	run := Run{
		ID: r.id, FunctionID: r.function, FunctionVersion: int(r.version), Status: r.status,
		QueuedAt: moment(r.queuedAt), StartedAt: moment(r.startedAt),
	}
	if !r.event.IsZero() {
		run.EventIDs = []ulid.ULID{r.event}
	}
	if more := r.more; more != nil {
		run.EndedAt, run.Output = moment(more.endedAt), more.output
		run.Reason, run.Cron = more.reason, more.cron
		run.OriginalRunID, run.BatchID, run.ExistingRunID = more.originalRunID, more.batchID, more.existingRunID
		if more.events != nil {
			run.EventIDs = more.events
		}
	}
	return run
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// What a record costs beside its variable parts: its structs and its share of
// maps and queues, roughly.
const (
	eventOverhead = 160
	bodyOverhead  = 240
	runOverhead   = 256
)
