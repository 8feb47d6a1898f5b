package partition

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/executor"
	"jetstep/executor/driver"
	"jetstep/function"
	"jetstep/state"
)

// repeating commits some transitions twice, as an executor does that did not
// get the answer.
type repeating struct{ state.Store }

func (s repeating) Commit(ctx context.Context, t *state.Transition) error {
	err := s.Store.Commit(ctx, t)
	if err == nil && rand.IntN(3) == 0 {
		if err := s.Store.Commit(ctx, t); err != nil && !errors.Is(err, state.ErrRunNotFound) && !errors.Is(err, ErrNotOwner) {
			return err
		}
	}
	return err
}

// fanOut is a function of n parallel steps. Steps take turns at random, fail
// at random in both ways, and end with their number; the result is all of
// them.
func fanOut(r *driver.Request) *driver.Response {
	var event struct {
		Data struct{ N, Version int }
	}
	if err := json.Unmarshal(r.Events[0], &event); err != nil {
		panic(err)
	}
	for range rand.IntN(50) {
		runtime.Gosched()
	}
	n, version := event.Data.N, event.Data.Version
	if r.StepID != "" {
		if r.Attempt+1 < r.MaxAttempts {
			switch rand.IntN(5) {
			case 0:
				return &driver.Response{Kind: driver.KindError, Error: &driver.RunError{Message: "flaky"}}
			case 1:
				return answerSteps(version, driver.Opcode{Op: driver.OpStepError, ID: r.StepID, Error: &driver.UserError{Message: "flaky"}})
			}
		}
		return answerSteps(version, driver.Opcode{Op: driver.OpStepRun, ID: r.StepID, Data: json.RawMessage(strings.TrimPrefix(r.StepID, "p"))})
	}
	memos := map[string]string{}
	for _, memo := range r.Steps {
		memos[memo.ID] = string(memo.Data)
	}
	var planned []driver.Opcode
	var result []string
	for i := range n {
		id := fmt.Sprint("p", i)
		planned = append(planned, driver.Opcode{Op: driver.OpStepPlanned, ID: id})
		result = append(result, memos[id])
	}
	switch {
	case len(r.Stack) == 0:
		return answerSteps(version, planned...)
	case len(r.Stack) < n:
		return answerSteps(version) // version 1 is called after each step
	}
	return answerDone("[" + strings.Join(result, ",") + "]")
}

// However the results of parallel steps arrive, with retries, repeats and
// owners that are replaced: the run's result is the same, and every step is
// saved once. With version 2 exactly one call follows them.
func TestParallelStepsInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, replaced := range []bool{false, true} {
		t.Run(fmt.Sprint("owners replaced: ", replaced), func(t *testing.T) {
			t.Parallel()
			const runs = 40
			s := newSite(t, 3)
			s.register(on("fn", "begin"))
			calls := s.execute(fanOut, func(cfg *executor.Config) { cfg.Store = repeating{cfg.Store} })
			want := map[ulid.ULID]string{}
			versions := map[ulid.ULID]int{}
			sizes := map[ulid.ULID]int{}
			for i := range runs {
				n, version := 2+i%7, 1+i%2
				e := s.send("begin", fmt.Sprintf(`{"n":%d,"version":%d}`, n, version))
				id := runIDOf(s, "fn", e)
				var parts []string
				for p := range n {
					parts = append(parts, fmt.Sprintf(`{"data":%d}`, p))
				}
				want[id], versions[id], sizes[id] = "["+strings.Join(parts, ",")+"]", version, n
				if replaced && i%8 == 7 {
					s.replaceOwner(i / 8 % 3)
				}
			}
			for id, output := range want {
				e := s.ended(id)
				require.Equal(t, state.Completed, e.status)
				require.Equal(t, output, e.output)
			}
			ends := endings(t, s.bus)
			require.Len(t, ends, runs)
			for id, times := range ends {
				require.Equal(t, 1, times, "run %s", id)
			}
			requireSavedOnce(s, sizes)
			if replaced {
				return // calls in flight were made again
			}
			after := map[ulid.ULID]int{}
			for _, r := range calls.made() {
				if r.StepID == "" && versions[r.RunID] == 2 && r.JobID != function.StartJob(runKey(s, r.RunID)) {
					require.Len(t, r.Stack, sizes[r.RunID])
					after[r.RunID]++
				}
			}
			for id, version := range versions {
				if version == 2 {
					require.Equal(t, 1, after[id], "calls after the steps of %s", id)
				}
			}
		})
	}
}

func runKey(s *site, id ulid.ULID) string {
	s.rec.mu.Lock()
	defer s.rec.mu.Unlock()
	return s.rec.scheduled[id].Key()
}

// requireSavedOnce looks into the logs for the steps of ended runs.
func requireSavedOnce(s *site, sizes map[ulid.ULID]int) {
	s.t.Helper()
	saved := map[ulid.ULID]map[string]int{}
	for p := range s.bus.Partitions() {
		for _, change := range facts[*state.RunChanged](s, p) {
			for _, step := range change.Steps {
				if saved[change.RunID] == nil {
					saved[change.RunID] = map[string]int{}
				}
				saved[change.RunID][step.ID]++
			}
		}
	}
	for id, n := range sizes {
		require.Len(s.t, saved[id], n)
		for step, times := range saved[id] {
			require.Equal(s.t, 1, times, "step %s of run %s", step, id)
		}
	}
}
