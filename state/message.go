package state

import (
	"encoding/json"
	"strconv"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// MessageKind says what a message asks its receiver to do.
type MessageKind uint8

// The kinds of messages between partitions.
const (
	MessageStart        MessageKind = iota + 1 // start a run
	MessageResume                              // end a wait with a memo
	MessageCancel                              // cancel a run
	MessageFail                                // fail a run
	MessageWatch                               // look out for an event
	MessageUnwatch                             // stop looking out
	MessageSignalWait                          // become the waiter of a signal
	MessageSignalUnwait                        // stop being it
	MessageEvent                               // publish an event
	MessageSignal                              // a signal was sent (command only)
	MessageForget                              // a run has ended that lives elsewhere than its id says
)

// Message is what one partition tells another, or publishes. Which fields are
// set follows from Kind.
type Message struct {
	Kind  MessageKind
	RunID ulid.ULID // Resume, Cancel, Fail, SignalWait, SignalUnwait, Forget
	Step  string    // Resume, SignalWait, SignalUnwait
	Name  string    // signal or error name; id of a watch (Unwatch)
	Text  string    // error message (Fail)
	Memo  json.RawMessage
	Flag  bool // SignalWait: replace the present waiter
	Watch *Watch
	Start *Start
	Event *SentEvent
	// Cause is what ends a wait or a run: the internal id of an event, or the
	// id of a bulk cancellation; zero for none (Resume, Cancel).
	Cause ulid.ULID
	// Child is the invoked run whose end resumes a step (Resume).
	Child ulid.ULID
}

func (m *Message) code(c *coder) {
	c.uint8((*uint8)(&m.Kind))
	c.ulid(&m.RunID)
	c.string(&m.Step)
	c.string(&m.Name)
	c.string(&m.Text)
	codeRaw(c, &m.Memo)
	c.bool(&m.Flag)
	optional(c, &m.Watch, func(c *coder, w *Watch) { c.block(w.code) })
	optional(c, &m.Start, func(c *coder, s *Start) { c.block(s.code) })
	optional(c, &m.Event, func(c *coder, e *SentEvent) { c.block(e.code) })
	c.rareULID(&m.Cause)
	c.rareULID(&m.Child)
}

// Outside is the source of commands that no partition sent.
const Outside = -1

// Command is what stands in IN_<p>: a message of a partition with its number,
// or one from Outside.
type Command struct {
	From int
	Sent Sent
	// Next says that After was the number before this one, and that all up to
	// it was delivered before. Whoever has not got it by now will not: it is
	// lost.
	Next  bool
	After uint64
	// Seen is up to which sequence of EVENTS its sender knew when it sent it. Who
	// acts upon it has to know as much: the event behind it is none to wait for.
	Seen uint64
	// Registry is the revision of the registry that its sender knew.
	Registry uint64
}

// Marshal is the command's form in IN_<p>.
func (m *Command) Marshal() []byte {
	c := coder{}
	m.code(&c)
	return c.b
}

// UnmarshalCommand reads what Marshal wrote.
func UnmarshalCommand(b []byte) (*Command, error) {
	c := coder{b: b, reading: true}
	m := new(Command)
	m.code(&c)
	return m, c.err
}

func (m *Command) code(c *coder) {
	c.int(&m.From)
	c.block(m.Sent.code)
	c.bool(&m.Next)
	c.uint64(&m.After)
	c.uint64(&m.Seen)
	c.uint64(&m.Registry)
}

// Watch is a partition's lookout for the next event of a name.
type Watch struct {
	ID    string // unique; see WatchID
	Event string
	If    string // interpolated expression over async, "" = any
	RunID ulid.ULID
	Step  string // the waiting step; "" cancels the run
	// Since is the EVENTS sequence above which an event counts.
	Since   uint64
	Expires int64 // milliseconds
}

// WatchID names the watch of a run's waiting step.
func WatchID(run ulid.ULID, step string) string { return run.String() + "." + step }

// CancelWatchID names the watch for the i-th event that cancels a run.
func CancelWatchID(run ulid.ULID, i int) string { return run.String() + "/cancel/" + strconv.Itoa(i) }

func (w *Watch) code(c *coder) {
	c.string(&w.ID)
	c.string(&w.Event)
	c.string(&w.If)
	c.ulid(&w.RunID)
	c.string(&w.Step)
	c.uint64(&w.Since)
	c.int64(&w.Expires)
}

// Start asks for a run.
type Start struct {
	RunID        ulid.ULID
	FunctionID   uuid.UUID
	Idempotency  string // "I" of sdk-protocol §4.5
	Events       []json.RawMessage
	EventIDs     []ulid.ULID
	Trigger      string
	Correlations []string
	Cron         string
	NotBefore    int64  // milliseconds; 0 = now
	Mark         uint64 // EVENTS sequence of the trigger
	// ClaimFor is how long, in ms, the idempotency key excludes another run;
	// 0 when the key cannot come again.
	ClaimFor int64
	BatchID  ulid.ULID // of the batch that collected the events, zero for none
	// Original is the run that is made again, zero for none; Steps are what it
	// remembers from that one, and Inputs new inputs of steps (rerun from a
	// step).
	Original ulid.ULID
	Steps    []Step
	Inputs   []Step
	Debug    *Debug // nil for most
}

func (s *Start) code(c *coder) {
	c.ulid(&s.RunID)
	c.uuid(&s.FunctionID)
	c.string(&s.Idempotency)
	list(c, &s.Events, codeRaw[json.RawMessage])
	list(c, &s.EventIDs, codeULID)
	c.string(&s.Trigger)
	list(c, &s.Correlations, codeString)
	c.string(&s.Cron)
	c.int64(&s.NotBefore)
	c.uint64(&s.Mark)
	c.int64(&s.ClaimFor)
	c.ulid(&s.BatchID)
	c.rareULID(&s.Original)
	list(c, &s.Steps, codeStep)
	list(c, &s.Inputs, codeStep)
	optional(c, &s.Debug, func(c *coder, d *Debug) { c.block(d.code) })
}

// SentEvent is an event on its way to EVENTS.
type SentEvent struct {
	InternalID ulid.ULID
	ID         string
	Name       string
	Data       json.RawMessage
	User       json.RawMessage
	TS         int64
	V          string
	Meta       json.RawMessage
}

func (e *SentEvent) code(c *coder) {
	c.ulid(&e.InternalID)
	c.string(&e.ID)
	c.string(&e.Name)
	codeRaw(c, &e.Data)
	codeRaw(c, &e.User)
	c.int64(&e.TS)
	c.string(&e.V)
	codeRaw(c, &e.Meta)
}
