package runs

import (
	"context"
	"embed"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/compat/redis/script"
)

//go:embed lua/*.lua
var sources embed.FS

func embedded(name string) *script.Script { return script.New(script.Source(sources, name)) }

var (
	scriptCreate      = embedded("create")
	scriptSaveStep    = embedded("save_step")
	scriptSavePending = embedded("save_pending")
	scriptUpdate      = embedded("update")
	scriptSaveDefer   = embedded("save_defer")
	scriptAbortDefer  = embedded("abort_defer")
	scriptSavePause   = embedded("save_pause")
	scriptDeletePause = embedded("delete_pause")
)

// Store is the state of all runs in one Redis. It is safe for concurrent use.
type Store struct{ redis redis.UniversalClient }

// NewStore is the store in that Redis.
func NewStore(client redis.UniversalClient) *Store { return &Store{redis: client} }

// Ref names a run: its keys have its function's id, too.
type Ref struct {
	Run      ulid.ULID
	Function uuid.UUID
}

// New is a run to be created.
type New struct {
	Metadata format.Metadata
	Events   string // JSON list
	Steps    []Value
	Inputs   []Value
}

// Value is a step's output or input, as JSON.
type Value struct{ Step, JSON string }

// Create makes a run's state. It tells whether the run was there before: then
// nothing is changed.
func (s *Store) Create(ctx context.Context, n *New) (existed bool, err error) {
	o, err := CreateOperation(n)
	if err != nil {
		return false, err
	}
	code, err := o.Run(ctx, s.redis).Int()
	if err != nil {
		return false, fmt.Errorf("create run %s: %w", n.Metadata.ID.RunID, err)
	}
	return code == 1, nil
}

// CreateOperation is Create as part of a chain: it answers 1 for a run that was
// there before.
func CreateOperation(n *New) (o script.Operation, err error) {
	ref := Ref{n.Metadata.ID.RunID, n.Metadata.ID.FunctionID}
	n.Metadata.EventSize = int64(len(n.Events))
	n.Metadata.StateSize, n.Metadata.StepCount = n.Metadata.EventSize, int64(len(n.Steps))
	for _, v := range append(n.Steps[:len(n.Steps):len(n.Steps)], n.Inputs...) {
		n.Metadata.StateSize += int64(len(v.JSON))
	}
	hash, err := n.Metadata.Encode()
	if err != nil {
		return o, err
	}
	args := []any{n.Events, len(hash)}
	for field, value := range hash {
		args = append(args, field, value)
	}
	for _, values := range [][]Value{n.Steps, n.Inputs} {
		args = append(args, len(values))
		for _, v := range values {
			args = append(args, v.Step, v.JSON)
		}
	}
	return scriptCreate.On([]string{
		format.EventsKey(ref.Run, ref.Function), format.MetadataKey(ref.Run), format.ActionsKey(ref.Run, ref.Function),
		format.StackKey(ref.Run), format.InputsKey(ref.Run, ref.Function),
	}, args...), nil
}

// Saved is what became of a step that was to be saved.
type Saved int

// The outcomes of saving a step.
const (
	SavedNow    Saved = 0
	SavedOther  Saved = -1 // another output was saved before: that one stays
	SavedBefore Saved = -2 // the same output was saved before
	SavedGone   Saved = -3 // there is no such run
)

// SaveStep saves a finished step unless it is saved. It tells whether steps of
// the present group are pending; of one that was saved before, also whether it is
// not the last: then whoever saved the last one sees to what follows. metadata is
// the size of what was attached.
func (s *Store) SaveStep(ctx context.Context, ref Ref, v Value, metadata int) (saved Saved, pending bool, err error) {
	reply, err := scriptSaveStep.Run(ctx, s.redis, []string{
		format.ActionsKey(ref.Run, ref.Function), format.MetadataKey(ref.Run), format.StackKey(ref.Run),
		format.InputsKey(ref.Run, ref.Function), format.PendingKey(ref.Run, ref.Function),
	}, v.Step, v.JSON, metadata).Int64Slice()
	if err != nil {
		return 0, false, fmt.Errorf("save step %s of run %s: %w", v.Step, ref.Run, err)
	}
	return Saved(reply[0]), reply[1] == 1, nil
}

// SavePending replaces the steps that are planned together; finished ones are
// left out.
func (s *Store) SavePending(ctx context.Context, ref Ref, steps []string) error {
	if err := pendingOperation(ref, steps).Run(ctx, s.redis).Err(); err != nil {
		return fmt.Errorf("save pending steps of run %s: %w", ref.Run, err)
	}
	return nil
}

func pendingOperation(ref Ref, steps []string) script.Operation {
	args := make([]any, len(steps))
	for i, step := range steps {
		args[i] = step
	}
	return scriptSavePending.On([]string{format.PendingKey(ref.Run, ref.Function), format.ActionsKey(ref.Run, ref.Function)}, args...)
}

// Update is a change of a run's metadata; zero values change nothing.
type Update struct {
	ForcePlan      *bool
	RequestVersion *int // unless there is one
	StartedAt      int64
	HasAI          bool
	MetadataSize   int // added
}

// Update changes the metadata of a run. It tells whether there is one.
func (s *Store) Update(ctx context.Context, run ulid.ULID, u Update) (exists bool, err error) {
	args := []any{"", "", "", "", ""}
	if u.ForcePlan != nil {
		args[0] = *u.ForcePlan
	}
	if u.RequestVersion != nil {
		args[1] = strconv.Itoa(*u.RequestVersion)
	}
	if u.StartedAt != 0 {
		args[2] = strconv.FormatInt(u.StartedAt, 10)
	}
	if u.HasAI {
		args[3] = true
	}
	if u.MetadataSize != 0 {
		args[4] = strconv.Itoa(u.MetadataSize)
	}
	code, err := scriptUpdate.Run(ctx, s.redis, []string{format.MetadataKey(run)}, args...).Int()
	if err != nil {
		return false, fmt.Errorf("update run %s: %w", run, err)
	}
	return code == 0, nil
}

// Delete takes away the state of a run, once it has ended: what its idempotency
// key says from then on, its keys, its pauses (redis-state §5.8, "Delete run").
func (s *Store) Delete(ctx context.Context, id *format.Identifier) error {
	var pauses *redis.StringSliceCmd
	err := pipeline.Do(ctx, s.redis, func(p redis.Pipeliner) {
		if id.Key != "" {
			ended := format.Claim{RunID: id.RunID, Ended: true}.Encode()
			p.SetArgs(ctx, format.ClaimKey(id.AccountID, id.Key), ended, redis.SetArgs{Mode: "XX", KeepTTL: true})
		}
		p.Del(ctx, format.RunKeys(id.RunID, id.FunctionID)...)
		pauses = p.SMembers(ctx, format.RunPausesKey(id.RunID))
	})
	if err != nil {
		return fmt.Errorf("delete run %s: %w", id.RunID, err)
	}
	return s.deletePauses(ctx, id.RunID, pauses.Val())
}
