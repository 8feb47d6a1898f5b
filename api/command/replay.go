package command

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/view"
)

// Replay asks for many runs of a function to be made again, those queued first
// first.
type Replay struct {
	Function    uuid.UUID
	Statuses    []view.Status // of the runs; all of them have ended
	From, Until time.Time     // when they were queued, inclusive
	After       *view.Cursor  // go on behind this run, nil to begin
	Limit       int           // above 0
	DryRun      bool          // only tell which runs they are
}

// Replayed says what became of a Replay, in the order of the runs.
type Replayed struct {
	Runs []ReplayedRun
	// More tells that there are more runs, behind Next.
	More bool
	Next view.Cursor
}

// ReplayedRun is a run with the one that repeats it. Err is why there is none:
// ErrNoInput or ErrNoFunction; both are empty in a dry run.
type ReplayedRun struct {
	Run, New ulid.ULID
	Err      error
}

// Replay makes runs again. A run that cannot be is passed over and says why.
// When something else fails, such as the engine, it ends early: More is set,
// and whoever asked can go on; it fails only if nothing was done.
func (c *Commands) Replay(ctx context.Context, replay Replay) (Replayed, error) {
	query := view.RunQuery{
		RunFilter: view.RunFilter{
			Source: view.FromSpans, From: replay.From, Until: replay.Until, TimeField: view.QueuedAt,
			Statuses: replay.Statuses, FunctionIDs: []uuid.UUID{replay.Function},
		},
		Orders: []view.Order{{Field: view.StartedAt}}, After: replay.After, Limit: replay.Limit + 1, // to see whether there are more
	}
	runs, err := c.Reader.Runs(ctx, query)
	if err != nil {
		return Replayed{}, fmt.Errorf("replay runs of function %s: %w", replay.Function, err)
	}
	done := Replayed{More: len(runs) > replay.Limit}
	for i := range runs[:min(replay.Limit, len(runs))] {
		one := ReplayedRun{Run: runs[i].ID}
		if !replay.DryRun {
			one.New, one.Err = c.Rerun(ctx, Rerun{Run: one.Run})
		}
		if one.Err != nil && !errors.Is(one.Err, ErrNoInput) && !errors.Is(one.Err, ErrNoFunction) {
			if i == 0 {
				return Replayed{}, one.Err
			}
			c.Log.Warn("replay ended early", "function_id", replay.Function, "run_id", one.Run, "error", one.Err)
			done.More = true
			break
		}
		done.Runs = append(done.Runs, one)
		done.Next = query.Cursor(&runs[i])
	}
	return done, nil
}
