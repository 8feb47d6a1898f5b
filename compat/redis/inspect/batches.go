package inspect

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/function"
)

// batch looks whether a batch has a job that starts it. One that has just been made
// may get it in a moment. Only who knows the function can say when it is due, and
// under which key it collects.
func (i *inspection) batch(ctx context.Context, key, batch string) error {
	id := ulid.MustParse(batch) // the pattern says that it is one
	if ulid.Time(id.Time()).Add(i.Patience).After(i.now) {
		return nil
	}
	job := function.BatchJob(function.EnvironmentID, batch)
	there, err := i.Redis.HExists(ctx, format.ItemsKey, job).Result()
	if jobs.IsWrongType(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the job of batch %s: %w", batch, err)
	}
	if there {
		return nil
	}
	return i.found(Finding{Kind: BatchWithoutJob, Key: key, Reason: "no job starts it: a server that knows its function gives it one"}, nil)
}
