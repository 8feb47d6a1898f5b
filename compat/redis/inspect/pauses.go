package inspect

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
)

// pausesOf looks at the pauses that wait for one event: whether they can be read,
// and whether their runs are there.
func (i *inspection) pausesOf(ctx context.Context, key string) error {
	return i.eachField(ctx, key, func(ids, texts []string) error {
		pauses := make([]*format.Pause, len(ids))
		for n, id := range ids {
			i.summary.Pauses++
			p, err := format.Decode[format.Pause](format.Place{Key: key, Member: id}, texts[n])
			if err != nil {
				if err := i.badPause(ctx, PauseUnreadable, key, id, texts[n], jobs.Unreadable, err.Error()); err != nil {
					return err
				}
				continue
			}
			pauses[n] = &p
		}
		there := make([]*redis.BoolCmd, len(ids))
		err := pipeline.Do(ctx, i.Redis, func(pipe redis.Pipeliner) {
			for n, p := range pauses {
				if p != nil {
					there[n] = pipe.HExists(ctx, format.MetadataKey(p.Run.RunID), format.FieldID)
				}
			}
		})
		if err != nil {
			return fmt.Errorf("look for runs of pauses: %w", err)
		}
		for n, id := range ids {
			if pauses[n] == nil || there[n].Err() != nil || there[n].Val() {
				continue
			}
			reason := fmt.Sprintf("the state of run %s is gone", pauses[n].Run.RunID)
			if err := i.badPause(ctx, PauseWithoutRun, key, id, texts[n], jobs.NoRun, reason); err != nil {
				return err
			}
		}
		return nil
	})
}

func (i *inspection) badPause(ctx context.Context, kind Kind, key, id, text string, why jobs.Why, reason string) error {
	_, parts, _ := format.Identify(key)
	return i.found(Finding{Kind: kind, Key: key, Member: id, Reason: reason}, func() (bool, error) {
		environment, err := format.ParseUUID(parts["environment"])
		if err != nil {
			return false, err
		}
		done, err := i.runs.SetPauseAside(ctx, environment, parts["..."], id, text, string(why), reason)
		if err != nil || !done {
			return done, err
		}
		if p, err := format.Decode[format.Pause](format.Place{Key: key, Member: id}, text); err == nil {
			return true, i.runs.DeletePause(ctx, &p) // what else leads to it
		}
		return true, nil
	})
}
