package runs

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
)

// Reading is a run that is being read together with other things, by one script:
// a transaction could not be part of a pipeline that goes to all of a cluster.
type Reading struct {
	ref     Ref
	store   *Store
	command *redis.Cmd
	pauses  *redis.StringSliceCmd
}

// Read makes the commands that read a run part of a pipeline, so that it is read
// in one round trip unless it has pauses.
func (s *Store) Read(ctx context.Context, p redis.Pipeliner, ref Ref) *Reading {
	return &Reading{ref, s, scriptLoad.EvalSha(ctx, p, loadKeys(ref)), p.SMembers(ctx, format.RunPausesKey(ref.Run))}
}

func loadKeys(ref Ref) []string {
	return []string{
		format.MetadataKey(ref.Run), format.EventsKey(ref.Run, ref.Function), format.StackKey(ref.Run),
		format.ActionsKey(ref.Run, ref.Function), format.InputsKey(ref.Run, ref.Function), format.PendingKey(ref.Run, ref.Function),
		format.DefersKey(ref.Run, ref.Function), format.DeferInputsKey(ref.Run, ref.Function), format.DeferControlKey(ref.Run, ref.Function),
	}
}

// Run is what was read; format.ErrNoRun when it is not there. before is the run as
// it was read earlier, nil for none: what has not changed since is not decoded
// again, but shared.
func (r *Reading) Run(ctx context.Context, before *Run) (*Run, error) {
	if redis.HasErrorPrefix(r.command.Err(), "NOSCRIPT") {
		r.command = scriptLoad.Run(ctx, r.store.redis, loadKeys(r.ref))
	}
	parts, err := r.command.Slice()
	var refused redis.Error
	if errors.As(err, &refused) {
		return r.store.Load(ctx, r.ref.Run) // some key is of another type: which, that says
	}
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", r.ref.Run, err)
	}
	if r.pauses.Err() != nil {
		return nil, fmt.Errorf("list pauses of run %s: %w", r.ref.Run, r.pauses.Err())
	}
	events, there := parts[1].(string)
	if !there {
		return nil, fmt.Errorf("events of run %s: %w", r.ref.Run, format.ErrNoRun)
	}
	k := kept{
		metadata: pairs(parts[0]), events: events, stack: texts(parts[2]), actions: pairs(parts[3]), inputs: pairs(parts[4]),
		pending: texts(parts[5]), defers: pairs(parts[6]), deferInputs: pairs(parts[7]), controls: pairs(parts[8]),
	}
	loaded, err := k.run(r.ref, before)
	if err != nil {
		return nil, err
	}
	loaded.Pauses, err = r.store.pauses(ctx, r.ref.Run, r.pauses.Val())
	return loaded, err
}

// texts is a list that a script answers.
func texts(part any) []string {
	list, _ := part.([]any)
	all := make([]string, len(list))
	for i, text := range list {
		all[i], _ = text.(string)
	}
	return all
}

// pairs is a hash that a script answers as a list.
func pairs(part any) map[string]string {
	list := texts(part)
	hash := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		hash[list[i]] = list[i+1]
	}
	return hash
}
