package state

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Carry is a walk over everything an Index holds, as ops that would make it
// again. The owner writes them at the log's end, a few at a time, and then
// purges what lay before the walk began. What changes during the walk needs no
// care: changes are in the log behind the walk's beginning, and an op carries
// the state of its moment.
type Carry struct {
	index   *Index
	runs    []ulid.ULID
	placed  []ulid.ULID
	watch   []string
	signals []string
	// debounces and batches are their keys.
	debounces []GateKey
	batches   []GateKey
	rates     []GateKey
	// rest are marks, outboxes, schedules and claims, taken at once: they only
	// grow or end by themselves, so that an older state does no harm.
	rest []Op
}

// Carry begins a walk.
func (x *Index) Carry() *Carry {
	c := &Carry{index: x}
	for id := range x.runs {
		c.runs = append(c.runs, id)
	}
	for id := range x.cold {
		c.runs = append(c.runs, id)
	}
	c.placed = slices.SortedFunc(maps.Keys(x.placed), ulid.ULID.Compare)
	for id := range x.watches {
		c.watch = append(c.watch, id)
	}
	for name := range x.signals {
		c.signals = append(c.signals, name)
	}
	c.debounces, c.batches = sortedKeys(x.debounces), sortedKeys(x.batches)
	for _, key := range x.rates.keys() {
		c.rates = append(c.rates, key)
	}
	slices.Sort(c.signals)
	slices.SortFunc(c.runs, func(a, b ulid.ULID) int { return bytes.Compare(a[:], b[:]) })
	slices.Sort(c.watch)
	c.rest = x.partitionOps()
	return c
}

// After leaves out of the walk all but the runs whose ids are greater.
func (c *Carry) After(run ulid.ULID) {
	i, found := slices.BinarySearchFunc(c.runs, run, ulid.ULID.Compare)
	if found {
		i++
	}
	*c = Carry{index: c.index, runs: c.runs[i:]}
}

// Next returns ops of about limit bytes, nil when the walk is over.
func (c *Carry) Next(limit int) []Op {
	var ops []Op
	for size := 0; size < limit; {
		op, n := c.next()
		if op == nil {
			break
		}
		ops = append(ops, op)
		size += n
	}
	return ops
}

func (c *Carry) next() (Op, int) {
	if len(c.rest) > 0 {
		op := c.rest[0]
		c.rest = c.rest[1:]
		return op, opSize(op)
	}
	for len(c.rates) > 0 {
		key := c.rates[0]
		c.rates = c.rates[1:]
		if e, ok := c.index.rates.entries[key]; ok {
			return &RateCharged{key, e.value, e.expires}, 64
		}
	}
	for len(c.placed) > 0 {
		id := c.placed[0]
		c.placed = c.placed[1:]
		if p, ok := c.index.Placed(id); ok {
			return &RunPlaced{id, p}, 24
		}
	}
	for len(c.signals) > 0 {
		s, ok := c.index.signals[c.signals[0]]
		c.signals = c.signals[1:]
		if ok {
			return &s, 64
		}
	}
	for len(c.watch) > 0 {
		w, ok := c.index.watches[c.watch[0]]
		c.watch = c.watch[1:]
		if ok {
			return &WatchPut{*w}, 64 + len(w.ID) + len(w.If)
		}
	}
	for len(c.debounces) > 0 {
		d, ok := c.index.debounces[c.debounces[0]]
		c.debounces = c.debounces[1:]
		if ok {
			return &DebouncePut{*d}, 200 + d.Start.size()
		}
	}
	for len(c.batches) > 0 {
		b, ok := c.index.batches[c.batches[0]]
		c.batches = c.batches[1:]
		if ok {
			return &BatchPut{*b}, 200 + b.Start.size()
		}
	}
	for len(c.runs) > 0 {
		r, ok := c.index.View(c.runs[0])
		c.runs = c.runs[1:]
		if ok {
			return &RunPut{*r}, 200 + r.Size + 80*(len(r.Steps)+len(r.Jobs))
		}
	}
	return nil, 0
}

func sortedKeys[V any](of map[GateKey]V) []GateKey {
	return slices.SortedFunc(maps.Keys(of), func(a, b GateKey) int { return bytes.Compare(a[:], b[:]) })
}

// size is about how many bytes the events take.
func (s *Start) size() int {
	size := 0
	for _, event := range s.Events {
		size += len(event)
	}
	return size
}

func opSize(op Op) int {
	if s, ok := op.(*Sent); ok && s.Message.Event != nil {
		return 100 + len(s.Message.Event.Data)
	}
	return 64
}

// partitionOps are the ops for all that is no run and no watch, in a fixed
// order.
func (x *Index) partitionOps() []Op {
	marks := &Marks{Events: x.events, Commands: x.commands}
	for source, n := range x.received {
		marks.Received = append(marks.Received, Mark{source, n})
	}
	slices.SortFunc(marks.Received, func(a, b Mark) int { return a.Source - b.Source })
	ops := []Op{marks}
	ops = append(ops, x.outboxOps()...)
	keys := make([]CronKey, 0, len(x.crons))
	for key := range x.crons {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b CronKey) int {
		return cmp.Or(bytes.Compare(a.FunctionID[:], b.FunctionID[:]), strings.Compare(a.Expr, b.Expr))
	})
	for _, key := range keys {
		ops = append(ops, &CronTicked{key.FunctionID, key.Expr, x.crons[key]})
	}
	for _, key := range x.claims.keys() {
		c := x.claims.entries[key]
		ops = append(ops, &KeyClaimed{key, c.value, c.expires})
	}
	return ops
}

func (x *Index) outboxOps() []Op {
	var ops []Op
	destinations := make([]int, 0, len(x.outbox))
	for to := range x.outbox {
		destinations = append(destinations, to)
	}
	slices.Sort(destinations)
	for _, to := range destinations {
		box := x.outbox[to]
		if box.Confirmed > 0 {
			ops = append(ops, &Confirmed{to, box.Confirmed})
		}
		for _, s := range box.Waiting {
			ops = append(ops, &s)
		}
	}
	return ops
}
