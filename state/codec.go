package state

import (
	"encoding/json"
	"fmt"
)

// The log's payload is a sequence of records, each with its length; a record
// is its time and its ops, each op its tag and its block. Format version 1.
const formatVersion = 1

// Encoder packs records into one log payload.
type Encoder struct{ c coder }

// Add appends a record.
func (e *Encoder) Add(r *Record) {
	if len(e.c.b) == 0 {
		e.c.b = append(e.c.b, formatVersion)
	}
	e.c.block(r.write)
}

// Len is the payload's size so far, in bytes.
func (e *Encoder) Len() int { return len(e.c.b) }

// Bytes is the payload, valid until the next Add or Reset.
func (e *Encoder) Bytes() []byte { return e.c.b }

// Reset empties the encoder and keeps its memory, unless that is large.
func (e *Encoder) Reset() {
	if cap(e.c.b) > 1<<20 {
		e.c.b = nil
	}
	e.c.b = e.c.b[:0]
}

// Decode calls visit for each record of a payload.
func Decode(payload []byte, visit func(*Record) error) error {
	return decode(payload, false, visit)
}

// DecodeState is Decode without the facts that are only told to the history,
// which are most of a log of calls and change no Index.
func DecodeState(payload []byte, visit func(*Record) error) error {
	return decode(payload, true, visit)
}

func decode(payload []byte, stateOnly bool, visit func(*Record) error) error {
	if len(payload) == 0 || payload[0] != formatVersion {
		return fmt.Errorf("%w: payload of unknown format", ErrCorrupt)
	}
	c := coder{b: payload[1:], reading: true}
	for len(c.b) > 0 {
		var r Record
		c.block(func(c *coder) { r.read(c, stateOnly) })
		if c.err != nil {
			return c.err
		}
		if err := visit(&r); err != nil {
			return err
		}
	}
	return nil
}

func (r *Record) write(c *coder) {
	c.int64(&r.At)
	for _, op := range r.Ops {
		tag := op.tag()
		c.uint8(&tag)
		c.block(op.code)
	}
}

// read reads what write wrote, without what is told if only the state matters.
func (r *Record) read(c *coder, stateOnly bool) {
	c.int64(&r.At)
	for len(c.b) > 0 && c.err == nil {
		var tag uint8
		c.uint8(&tag)
		if stateOnly && isTold(tag) {
			c.block(func(*coder) {})
			continue
		}
		op := newOp(tag)
		if op == nil {
			c.fail("unknown op %d", tag)
			return
		}
		c.block(op.code)
		r.Ops = append(r.Ops, op)
	}
}

func (r *Run) code(c *coder) {
	c.ulid(&r.ID)
	c.uuid(&r.FunctionID)
	c.int(&r.FunctionVersion)
	c.string(&r.Slug)
	c.string(&r.Idempotency)
	list(c, &r.Events, codeRaw[json.RawMessage])
	list(c, &r.EventIDs, codeULID)
	c.string(&r.Trigger)
	list(c, &r.Correlations, codeString)
	c.string(&r.Cron)
	c.int64(&r.QueuedAt)
	c.int64(&r.StartedAt)
	c.int(&r.Version)
	c.bool(&r.ForcePlan)
	c.bool(&r.HasAI)
	list(c, &r.Steps, codeStep)
	list(c, &r.Inputs, codeStep)
	list(c, &r.Pending, codeString)
	list(c, &r.Jobs, codeJob)
	list(c, &r.Waits, codeWait)
	list(c, &r.Defers, codeDefer)
	c.int(&r.Size)
	list(c, &r.Cancels, codeString)
	optional(c, &r.Flow, func(c *coder, f *Flow) { c.block(f.code) })
	c.rareULID(&r.Original)
	optional(c, &r.Endpoint, func(c *coder, e *Endpoint) { c.block(e.code) })
	c.int(&r.MetadataSize)
	optional(c, &r.Debug, func(c *coder, d *Debug) { c.block(d.code) })
}

func codeStep(c *coder, s *Step) {
	c.block(func(c *coder) {
		c.string(&s.ID)
		codeRaw(c, &s.Memo)
	})
}

func codeJob(c *coder, j *Job) {
	c.block(func(c *coder) {
		c.string(&j.ID)
		c.uint8((*uint8)(&j.Kind))
		c.int64(&j.Due)
		c.int(&j.Attempt)
		c.int(&j.MaxAttempts)
		c.int(&j.Generation)
		c.string(&j.Step)
		c.string(&j.Outgoing)
		c.string(&j.Group)
		c.bool(&j.Race)
	})
}

func codeWait(c *coder, w *Wait) {
	c.block(func(c *coder) {
		c.uint8((*uint8)(&w.Kind))
		c.string(&w.Step)
		c.string(&w.Name)
		c.string(&w.Group)
		c.bool(&w.Race)
	})
}

func codeDefer(c *coder, d *Defer) {
	c.block(func(c *coder) {
		c.string(&d.ID)
		c.string(&d.Slug)
		c.uint8((*uint8)(&d.Status))
		codeRaw(c, &d.Input)
		c.string(&d.UserID)
		codeRaw(c, &d.Meta)
	})
}
