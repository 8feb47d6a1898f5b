package state

import (
	"encoding/json"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Record is one transition as it stands in the log: facts that hold together.
type Record struct {
	At  int64 // milliseconds since 1970, when it was decided
	Ops []Op
}

// Op is one fact. Facts about a run that is not there change nothing, so that
// a log whose oldest part was carried forward and purged still replays.
type Op interface {
	tag() uint8
	code(c *coder)
	apply(x *Index, at int64)
}

// The tags of ops in the log. A tag is never reused.
const (
	tagOwned uint8 = iota + 1
	tagMarks
	tagSent
	tagConfirmed
	tagRunPut
	tagRunChanged
	tagRunFinished
	tagWatchPut
	tagWatchRemoved
	tagSignalPut
	tagSignalRemoved
	tagCronTicked
	tagKeyClaimed
	tagRunAdmitted
	tagRunSkipped
	tagRateCharged
	tagDebouncePut
	tagDebounceRemoved
	tagBatchPut
	tagBatchAppended
	tagBatchRemoved
	tagCalled
	tagReported
	tagStepEnded
	tagCarried
	tagEndpointDetached
	tagMetadataPut
	tagRecalled
	tagRunPlaced
	tagRunForgotten
)

func newOp(tag uint8) Op {
	switch tag {
	case tagOwned:
		return new(Owned)
	case tagMarks:
		return new(Marks)
	case tagSent:
		return new(Sent)
	case tagConfirmed:
		return new(Confirmed)
	case tagRunPut:
		return new(RunPut)
	case tagRunChanged:
		return new(RunChanged)
	case tagRunFinished:
		return new(RunFinished)
	case tagWatchPut:
		return new(WatchPut)
	case tagWatchRemoved:
		return new(WatchRemoved)
	case tagSignalPut:
		return new(SignalPut)
	case tagSignalRemoved:
		return new(SignalRemoved)
	case tagCronTicked:
		return new(CronTicked)
	case tagKeyClaimed:
		return new(KeyClaimed)
	case tagRunAdmitted:
		return new(RunAdmitted)
	case tagRunSkipped:
		return new(RunSkipped)
	case tagRateCharged:
		return new(RateCharged)
	case tagDebouncePut:
		return new(DebouncePut)
	case tagDebounceRemoved:
		return new(DebounceRemoved)
	case tagBatchPut:
		return new(BatchPut)
	case tagBatchAppended:
		return new(BatchAppended)
	case tagBatchRemoved:
		return new(BatchRemoved)
	case tagCalled:
		return new(Called)
	case tagReported:
		return new(Reported)
	case tagStepEnded:
		return new(StepEnded)
	case tagCarried:
		return new(Carried)
	case tagEndpointDetached:
		return new(EndpointDetached)
	case tagMetadataPut:
		return new(MetadataPut)
	case tagRecalled:
		return new(Recalled)
	case tagRunPlaced:
		return new(RunPlaced)
	case tagRunForgotten:
		return new(RunForgotten)
	}
	return nil
}

// Owned begins the reign of an owner; written before anything else, it fences
// the previous one.
type Owned struct{ Node string }

func (o *Owned) tag() uint8    { return tagOwned }
func (o *Owned) code(c *coder) { c.string(&o.Node) }

// Marks says how far inputs are consumed. Every field only grows, except when
// Reset is set: the input stream itself was lost and starts anew.
type Marks struct {
	Events   uint64 // sequence in EVENTS
	Commands uint64 // sequence in IN_<p>
	Received []Mark // from other partitions
	Reset    bool
}

// Mark is the number of the last message taken from a source.
type Mark struct {
	Source int
	N      uint64
}

func (o *Marks) tag() uint8 { return tagMarks }
func (o *Marks) code(c *coder) {
	c.uint64(&o.Events)
	c.uint64(&o.Commands)
	list(c, &o.Received, func(c *coder, m *Mark) { c.int(&m.Source); c.uint64(&m.N) })
	c.bool(&o.Reset)
}

// Sent puts a message into the outbox; it is delivered until Confirmed.
type Sent struct {
	To      int // partition, or EventsOf(partition) for EVENTS
	N       uint64
	Message Message
}

func (o *Sent) tag() uint8 { return tagSent }
func (o *Sent) code(c *coder) {
	c.int(&o.To)
	c.uint64(&o.N)
	c.block(o.Message.code)
}

// Confirmed says that messages to a destination are delivered up to N.
type Confirmed struct {
	To int
	N  uint64
}

func (o *Confirmed) tag() uint8    { return tagConfirmed }
func (o *Confirmed) code(c *coder) { c.int(&o.To); c.uint64(&o.N) }

// RunPut sets a whole run: a new one, or one carried forward.
type RunPut struct{ Run Run }

func (o *RunPut) tag() uint8    { return tagRunPut }
func (o *RunPut) code(c *coder) { o.Run.code(c) }

// RunChanged is what one transition changes in a run.
type RunChanged struct {
	RunID     ulid.ULID
	StartedAt int64 // 0 = unchanged
	Version   *int
	ForcePlan *bool
	HasAI     bool
	Pending   []string // added
	Steps     []Step   // finished; they leave Pending
	JobsDone  []string
	JobsPut   []Job // added, or replaced by id
	WaitsDone []string
	WaitsPut  []Wait
	DefersPut []Defer // added, or replaced by id
	// MetadataSize is the size of the run's metadata since, in bytes; 0 = unchanged.
	MetadataSize int
}

func (o *RunChanged) tag() uint8 { return tagRunChanged }
func (o *RunChanged) code(c *coder) {
	c.ulid(&o.RunID)
	c.int64(&o.StartedAt)
	optional(c, &o.Version, (*coder).int)
	optional(c, &o.ForcePlan, (*coder).bool)
	c.bool(&o.HasAI)
	list(c, &o.Pending, codeString)
	list(c, &o.Steps, codeStep)
	list(c, &o.JobsDone, codeString)
	list(c, &o.JobsPut, codeJob)
	list(c, &o.WaitsDone, codeString)
	list(c, &o.WaitsPut, codeWait)
	list(c, &o.DefersPut, codeDefer)
	c.int(&o.MetadataSize)
}

// optional codes a value that may be absent.
func optional[T any](c *coder, v **T, code func(*coder, *T)) {
	present := *v != nil
	c.bool(&present)
	if c.reading {
		*v = nil
		if present {
			*v = new(T)
		}
	}
	if present {
		code(c, *v)
	}
}

// RunFinished ends a run; its state goes. What it repeats of the run is for the
// history, which need not have seen the run begin.
type RunFinished struct {
	RunID  ulid.ULID
	Status Status
	Output json.RawMessage

	FunctionID uuid.UUID
	QueuedAt   int64 // milliseconds since 1970
	StartedAt  int64 // 0 if it never was
	EventIDs   []ulid.ULID
	BatchID    ulid.ULID // zero for none
	Cron       string
	HasAI      bool
	// CancelledBy is the internal id of the event that cancelled the run, or
	// the id of the bulk cancellation; zero for neither.
	CancelledBy ulid.ULID
	// Original is the run of which this was a rerun, zero for none.
	Original    ulid.ULID
	Idempotency string // see Run.Key
}

func (o *RunFinished) tag() uint8 { return tagRunFinished }
func (o *RunFinished) code(c *coder) {
	c.ulid(&o.RunID)
	c.uint8((*uint8)(&o.Status))
	codeRaw(c, &o.Output)
	c.uuid(&o.FunctionID)
	c.int64(&o.QueuedAt)
	c.int64(&o.StartedAt)
	list(c, &o.EventIDs, codeULID)
	c.rareULID(&o.BatchID)
	c.string(&o.Cron)
	c.bool(&o.HasAI)
	c.rareULID(&o.CancelledBy)
	c.rareULID(&o.Original)
	c.string(&o.Idempotency)
}

// WatchPut makes the partition of an event name look out for an event.
type WatchPut struct{ Watch Watch }

func (o *WatchPut) tag() uint8    { return tagWatchPut }
func (o *WatchPut) code(c *coder) { o.Watch.code(c) }

// WatchRemoved ends a watch: it matched, or nobody waits any more.
type WatchRemoved struct {
	ID    string
	Event string
}

func (o *WatchRemoved) tag() uint8    { return tagWatchRemoved }
func (o *WatchRemoved) code(c *coder) { c.string(&o.ID); c.string(&o.Event) }

// SignalPut records the one waiter for a signal name.
type SignalPut struct {
	Name  string
	RunID ulid.ULID
	Step  string
}

func (o *SignalPut) tag() uint8    { return tagSignalPut }
func (o *SignalPut) code(c *coder) { c.string(&o.Name); c.ulid(&o.RunID); c.string(&o.Step) }

// SignalRemoved frees a signal name.
type SignalRemoved struct{ Name string }

func (o *SignalRemoved) tag() uint8    { return tagSignalRemoved }
func (o *SignalRemoved) code(c *coder) { c.string(&o.Name) }

// CronTicked says that a schedule has fired up to At.
type CronTicked struct {
	FunctionID uuid.UUID
	Expr       string
	At         int64 // the scheduled time, milliseconds
}

func (o *CronTicked) tag() uint8    { return tagCronTicked }
func (o *CronTicked) code(c *coder) { c.uuid(&o.FunctionID); c.string(&o.Expr); c.int64(&o.At) }

// KeyClaimed remembers which run an idempotency key started, until Expires.
type KeyClaimed struct {
	Key     [16]byte
	RunID   ulid.ULID
	Expires int64
}

func (o *KeyClaimed) tag() uint8    { return tagKeyClaimed }
func (o *KeyClaimed) code(c *coder) { c.fixed(o.Key[:]); c.ulid(&o.RunID); c.int64(&o.Expires) }
