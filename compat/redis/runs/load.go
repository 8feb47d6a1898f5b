package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// Run is a run's state as it is stored.
type Run struct {
	Metadata *format.Metadata
	Events   []json.RawMessage
	Steps    []Value // finished, in order
	Inputs   []Value // by step
	Pending  []string
	Defers   []Defer // by id
	Pauses   []*format.Pause

	// As they are stored; empty of a run that was not read.
	metadata map[string]string
	events   string
}

// Defer is a deferred function with what belongs to it.
type Defer struct {
	format.Defer
	Input   string
	Control string
}

// Ref names the run.
func (r *Run) Ref() Ref { return Ref{r.Metadata.ID.RunID, r.Metadata.ID.FunctionID} }

// Metadata reads a run's metadata; format.ErrNoRun when it is not there.
func (s *Store) Metadata(ctx context.Context, run ulid.ULID) (*format.Metadata, error) {
	key := format.MetadataKey(run)
	hash, err := s.redis.HGetAll(ctx, key).Result()
	if err != nil {
		return nil, fmt.Errorf("read metadata of run %s: %w", run, err)
	}
	return format.DecodeMetadata(key, hash)
}

// Load reads a run as it is at one moment; its pauses are read after it. A run
// without events is being deleted: format.ErrNoRun.
func (s *Store) Load(ctx context.Context, run ulid.ULID) (*Run, error) {
	first, err := s.Metadata(ctx, run)
	if err != nil {
		return nil, err
	}
	ref := Ref{run, first.ID.FunctionID}
	var r *reading
	_, err = s.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		r = read(ctx, p, ref)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	loaded, err := r.run()
	if err != nil {
		return nil, err
	}
	loaded.Pauses, err = s.PausesOf(ctx, run)
	return loaded, err
}

// reading are the commands that read a run.
type reading struct {
	ref                           Ref
	metadata, actions, inputs     *redis.MapStringStringCmd
	defers, deferInputs, controls *redis.MapStringStringCmd
	events                        *redis.StringCmd
	stack, pending                *redis.StringSliceCmd
}

func read(ctx context.Context, p redis.Pipeliner, ref Ref) *reading {
	return &reading{
		ref:         ref,
		metadata:    p.HGetAll(ctx, format.MetadataKey(ref.Run)),
		events:      p.Get(ctx, format.EventsKey(ref.Run, ref.Function)),
		stack:       p.LRange(ctx, format.StackKey(ref.Run), 0, -1),
		actions:     p.HGetAll(ctx, format.ActionsKey(ref.Run, ref.Function)),
		inputs:      p.HGetAll(ctx, format.InputsKey(ref.Run, ref.Function)),
		pending:     p.SMembers(ctx, format.PendingKey(ref.Run, ref.Function)),
		defers:      p.HGetAll(ctx, format.DefersKey(ref.Run, ref.Function)),
		deferInputs: p.HGetAll(ctx, format.DeferInputsKey(ref.Run, ref.Function)),
		controls:    p.HGetAll(ctx, format.DeferControlKey(ref.Run, ref.Function)),
	}
}

// run is what was read, but for the pauses.
func (r *reading) run() (*Run, error) {
	for _, c := range []redis.Cmder{r.metadata, r.stack, r.actions, r.inputs, r.pending, r.defers, r.deferInputs, r.controls} {
		if c.Err() != nil {
			return nil, fmt.Errorf("read run %s: %w", r.ref.Run, c.Err())
		}
	}
	if errors.Is(r.events.Err(), redis.Nil) {
		return nil, fmt.Errorf("events of run %s: %w", r.ref.Run, format.ErrNoRun)
	}
	if r.events.Err() != nil {
		return nil, fmt.Errorf("read run %s: %w", r.ref.Run, r.events.Err())
	}
	k := kept{
		metadata: r.metadata.Val(), events: r.events.Val(), stack: r.stack.Val(), actions: r.actions.Val(), inputs: r.inputs.Val(),
		pending: r.pending.Val(), defers: r.defers.Val(), deferInputs: r.deferInputs.Val(), controls: r.controls.Val(),
	}
	return k.run(r.ref, nil)
}

// kept is a run's state as the keys have it.
type kept struct {
	metadata, actions, inputs     map[string]string
	defers, deferInputs, controls map[string]string
	events                        string
	stack, pending                []string
}

// run decodes the state; before is the run as it was read earlier, nil for none.
func (k *kept) run(ref Ref, before *Run) (*Run, error) {
	run := &Run{
		Pending: k.pending, Steps: inOrder(k.stack, k.actions), Inputs: byStep(k.inputs), metadata: k.metadata, events: k.events,
	}
	err := run.decode(ref, before)
	if err != nil {
		return nil, err
	}
	if run.Defers, err = readDefers(ref, k.defers, k.deferInputs, k.controls); err != nil {
		return nil, err
	}
	slices.Sort(run.Pending)
	return run, nil
}

// decode decodes what has changed of metadata and events.
func (r *Run) decode(ref Ref, before *Run) (err error) {
	if before != nil && maps.Equal(r.metadata, before.metadata) {
		r.Metadata = before.Metadata
	} else if r.Metadata, err = format.DecodeMetadata(format.MetadataKey(ref.Run), r.metadata); err != nil {
		return err
	}
	if r.SameInput(before) {
		r.Events = before.Events
		return nil
	}
	r.Events, err = format.DecodeEvents(format.EventsKey(ref.Run, ref.Function), r.events)
	return err
}

// SameInput tells whether a run's events are as another reading has them.
func (r *Run) SameInput(before *Run) bool {
	return before != nil && r.events != "" && r.events == before.events
}

// inOrder are the outputs in the order of the stack.
func inOrder(stack []string, actions map[string]string) []Value {
	steps := make([]Value, 0, len(stack))
	for _, step := range stack {
		if output, ok := actions[step]; ok {
			steps = append(steps, Value{step, output})
		}
	}
	return steps
}

func byStep(values map[string]string) []Value {
	var all []Value
	for step, value := range values {
		all = append(all, Value{step, value})
	}
	slices.SortFunc(all, func(a, b Value) int { return strings.Compare(a.Step, b.Step) })
	return all
}

func readDefers(ref Ref, defers, inputs, controls map[string]string) ([]Defer, error) {
	var all []Defer
	for id, text := range defers {
		d, err := format.Decode[format.Defer](format.Place{Key: format.DefersKey(ref.Run, ref.Function), Member: id}, text)
		if err != nil {
			return nil, err
		}
		d.HashedID = id
		all = append(all, Defer{Defer: d, Input: inputs[id], Control: controls[id]})
	}
	slices.SortFunc(all, func(a, b Defer) int { return strings.Compare(a.HashedID, b.HashedID) })
	return all, nil
}
