package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	var (
		metadata, actions, inputs     *redis.MapStringStringCmd
		defers, deferInputs, controls *redis.MapStringStringCmd
		events                        *redis.StringCmd
		stack                         *redis.StringSliceCmd
		pending                       *redis.StringSliceCmd
	)
	_, err = s.redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		metadata = p.HGetAll(ctx, format.MetadataKey(run))
		events = p.Get(ctx, format.EventsKey(run, ref.Function))
		stack = p.LRange(ctx, format.StackKey(run), 0, -1)
		actions = p.HGetAll(ctx, format.ActionsKey(run, ref.Function))
		inputs = p.HGetAll(ctx, format.InputsKey(run, ref.Function))
		pending = p.SMembers(ctx, format.PendingKey(run, ref.Function))
		defers = p.HGetAll(ctx, format.DefersKey(run, ref.Function))
		deferInputs = p.HGetAll(ctx, format.DeferInputsKey(run, ref.Function))
		controls = p.HGetAll(ctx, format.DeferControlKey(run, ref.Function))
		return nil
	})
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("events of run %s: %w", run, format.ErrNoRun)
	}
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	r := &Run{Pending: pending.Val()}
	if r.Metadata, err = format.DecodeMetadata(format.MetadataKey(run), metadata.Val()); err != nil {
		return nil, err
	}
	if r.Events, err = format.DecodeEvents(format.EventsKey(run, ref.Function), events.Val()); err != nil {
		return nil, err
	}
	r.Steps = inOrder(stack.Val(), actions.Val())
	r.Inputs = byStep(inputs.Val())
	if r.Defers, err = readDefers(ref, defers.Val(), deferInputs.Val(), controls.Val()); err != nil {
		return nil, err
	}
	slices.Sort(r.Pending)
	r.Pauses, err = s.PausesOf(ctx, run)
	return r, err
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
