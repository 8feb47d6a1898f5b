package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/function"
)

// timeoutAttempts is how often a job that looks for a late run is tried.
const timeoutAttempts = 21

// TimeoutItem is the job that looks at a moment, in milliseconds, whether a run
// has started, or finished, in time (redis-queue §19).
func TimeoutItem(id *format.Identifier, kind string, at int64) (*format.Item, error) {
	key := function.RunKey(id.FunctionID, function.HashBytes(id.FunctionID[:])+":"+function.Hash(id.RunID.String()))
	name := function.StartTimeoutJobName(key)
	if kind == format.CancelFinishTimeout {
		name = function.FinishTimeoutJobName(key)
	}
	payload, err := format.Raw(format.CancelPayload{
		ID: ulid.Make(), AccountID: id.AccountID, EnvironmentID: id.EnvironmentID, FunctionID: id.FunctionID,
		Kind: kind, Cause: format.CauseEvent, TargetID: id.RunID.String(),
	})
	if err != nil {
		return nil, fmt.Errorf("timeout of run %s: %w", id.RunID, err)
	}
	attempts := timeoutAttempts
	return &format.Item{
		ID: function.Hash(name), At: min(at, format.LatestTime), FunctionID: id.FunctionID, Environment: id.EnvironmentID, Queue: format.QueueCancel,
		Data: format.ItemData{
			GroupID: uuid.NewString(), Environment: id.EnvironmentID, Kind: format.KindCancel, MaxAttempts: &attempts,
			Payload: payload, Queue: format.QueueCancel,
			Identifier: format.Identifier{
				FunctionID: id.FunctionID, Key: name, AccountID: id.AccountID, EnvironmentID: id.EnvironmentID, AppID: id.AppID,
			},
		},
	}, nil
}

// enqueueFinishTimeout sees to it that the run finishes in time, from when the
// transition says that it has started. It comes before that is stored, so that
// it is not forgotten.
func (c *commit) enqueueFinishTimeout(ctx context.Context) error {
	if c.Transition.StartedAt == 0 || c.run.StartedAt != 0 {
		return nil
	}
	within := c.Functions.Limits(c.run.FunctionID).FinishWithin
	if within <= 0 {
		return nil
	}
	id := c.Metadata.ID
	item, err := TimeoutItem(&id, format.CancelFinishTimeout, c.Transition.StartedAt+within.Milliseconds())
	if err != nil {
		return err
	}
	if _, err := c.jobs.Enqueue(ctx, c.now, item); err != nil {
		return err
	}
	c.visitAt(format.QueueCancel, time.UnixMilli(item.At))
	return nil
}
