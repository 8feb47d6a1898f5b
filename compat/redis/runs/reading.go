package runs

import (
	"context"
	"fmt"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

var (
	scriptLoad   = embedded("load")
	scriptPauses = embedded("pauses_of_run")
)

// LoadOperations read a run: its state as it is at one moment, and the ids of its
// pauses. Each answers with a list, which are for [Store.Loaded].
func LoadOperations(ref Ref) []script.Operation {
	return []script.Operation{
		scriptLoad.On([]string{
			format.MetadataKey(ref.Run), format.EventsKey(ref.Run, ref.Function), format.StackKey(ref.Run),
			format.ActionsKey(ref.Run, ref.Function), format.InputsKey(ref.Run, ref.Function), format.PendingKey(ref.Run, ref.Function),
			format.DefersKey(ref.Run, ref.Function), format.DeferInputsKey(ref.Run, ref.Function), format.DeferControlKey(ref.Run, ref.Function),
		}),
		scriptPauses.On([]string{format.RunPausesKey(ref.Run)}),
	}
}

// Loaded is the run that LoadOperations have read; format.ErrNoRun when it is not
// there. Its pauses are read now. before is the run as it was read earlier, nil for
// none: what has not changed since is not decoded again, but shared.
func (s *Store) Loaded(ctx context.Context, ref Ref, answers []any, before *Run) (*Run, error) {
	parts, _ := answers[0].([]any)
	if len(parts) < 9 {
		return nil, fmt.Errorf("read run %s: the answer has %d parts", ref.Run, len(parts))
	}
	events, there := parts[1].(string)
	if !there {
		return nil, fmt.Errorf("events of run %s: %w", ref.Run, format.ErrNoRun)
	}
	k := kept{
		metadata: pairs(parts[0]), events: events, stack: texts(parts[2]), actions: pairs(parts[3]), inputs: pairs(parts[4]),
		pending: texts(parts[5]), defers: pairs(parts[6]), deferInputs: pairs(parts[7]), controls: pairs(parts[8]),
	}
	loaded, err := k.run(ref, before)
	if err != nil {
		return nil, err
	}
	loaded.Pauses, err = s.pauses(ctx, ref.Run, texts(answers[1]))
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
