package partition

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/queue"
	"jetstep/state"
)

// rerun is a start that makes a run again.
func rerun(t *testing.T, n *Node, slug string) state.Start {
	t.Helper()
	id, err := n.NewRunID(fnID(slug))
	require.NoError(t, err)
	event := newEvent("e", `{"n":7}`)
	return state.Start{
		RunID: id, FunctionID: fnID(slug), Trigger: "e", Original: ulid.Make(),
		Events: raws(`{"name":"e", "data":{"n":7.0}}`), EventIDs: []ulid.ULID{event.InternalID},
	}
}

// A run that is made again remembers steps of the original, and has its input,
// in the form of any run.
func TestRerun(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("fn", "e"))
	start := rerun(t, s.node, "fn")
	start.Steps = []state.Step{{ID: "a", Memo: json.RawMessage(`{"data": 1}`)}}
	start.Inputs = []state.Step{{ID: "b", Memo: json.RawMessage(`{"input":[ 1 ]}`)}}
	require.NoError(t, s.node.StartRun(t.Context(), start))
	require.NoError(t, s.node.StartRun(t.Context(), start), "repeated")

	lease := s.call()
	require.Equal(t, state.JobStart, lease.Job.Kind)
	run := s.load(lease.RunID)
	event := `{"data":{"n":7},"name":"e","user":{}}`
	require.Equal(t, start.RunID, run.ID)
	require.Equal(t, event, string(run.Events[0]))
	require.Equal(t, start.EventIDs, run.EventIDs)
	require.Equal(t, start.Original, run.Original)
	require.Equal(t, function.IdempotencyKey(run.FunctionID, run.ID.String()), run.Idempotency)
	require.Equal(t, []state.Step{{ID: "a", Memo: json.RawMessage(`{"data":1}`)}}, run.Steps)
	require.Equal(t, []state.Step{{ID: "b", Memo: json.RawMessage(`{"input":[1]}`)}}, run.Inputs)
	require.Equal(t, len(event)+len(`{"data":1}`)+len(`{"input":[1]}`), run.Size)

	s.commit(complete(lease, `1`))
	require.Equal(t, []state.Op{finished(run, state.Completed, func(op *state.RunFinished) {
		op.Original, op.Output = start.Original, json.RawMessage(`1`)
	})}, s.facts(run.ID))
	require.NoError(t, s.node.StartRun(t.Context(), start), "repeated after it ended")
	s.decided("success:1 idempotency:2")
	require.Zero(t, s.node.Stats().Runs)
}

// flow-control §28: what limits events does not limit a rerun; what limits
// runs does.
func TestFlowControlOfARerun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*function.Function)
		want   string
	}{
		"debounce":   {func(fn *function.Function) { fn.Debounce = &function.Debounce{Period: "1h"} }, "success:2"},
		"batch":      {func(fn *function.Function) { fn.EventBatch = &function.EventBatch{MaxSize: 9, Timeout: "1h"} }, "success:2"},
		"rate limit": {func(fn *function.Function) { fn.RateLimit = &function.RateLimit{Limit: 1, Period: "1h"} }, "success:2"},
		"singleton":  {func(fn *function.Function) { fn.Singleton = &function.Singleton{Mode: function.SingletonSkip} }, "success:1 skipped:1"},
		"throttle": {func(fn *function.Function) {
			fn.Throttle = &function.Throttle{Limit: 1, Period: "1h"}
		}, "success:2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 3)
			s.register(limited("fn", "e", c.change))
			for range 2 {
				require.NoError(t, s.node.StartRun(t.Context(), rerun(t, s.node, "fn")))
			}
			s.decided(c.want)
			s.call()
			if name == "throttle" {
				s.eventually(func() bool { return s.node.Stats().Held == 1 })
			}
		})
	}
}

// All runs of a function with flow control are in one partition, those of
// others spread.
func TestNewRunID(t *testing.T) {
	t.Parallel()
	s := newSite(t, 3)
	s.register(on("fn", "e"), limited("one", "e", func(fn *function.Function) { fn.Singleton = &function.Singleton{} }))
	partitions := map[string]map[int]bool{"fn": {}, "one": {}}
	for slug, found := range partitions {
		seen := map[ulid.ULID]bool{}
		for range 100 {
			id, err := s.node.NewRunID(fnID(slug))
			require.NoError(t, err)
			require.False(t, seen[id])
			seen[id], found[s.node.partitionOfRun(id)] = true, true
		}
	}
	require.Len(t, partitions["fn"], 3)
	require.Equal(t, map[int]bool{s.node.partitionOf(fnID("one").String()): true}, partitions["one"])
	_, err := s.node.NewRunID(uuid.UUID{9})
	require.ErrorIs(t, err, ErrNoFunction)
}

func TestRerunsThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	s.register(on("fn", "e"))
	for name, c := range map[string]struct {
		change func(*state.Start)
		err    string
	}{
		"unknown function":   {func(s *state.Start) { s.FunctionID = uuid.UUID{9} }, "no such function"},
		"no id":              {func(s *state.Start) { s.RunID = ulid.ULID{} }, "needs its id"},
		"no original":        {func(s *state.Start) { s.Original = ulid.ULID{} }, "that of the original"},
		"no event":           {func(s *state.Start) { s.Events, s.EventIDs = nil, nil }, "0 events with 0 ids"},
		"no id of the event": {func(s *state.Start) { s.EventIDs = nil }, "1 events with 0 ids"},
		"event that is none": {func(s *state.Start) { s.Events = raws(`7`) }, "event "},
		"event of null":      {func(s *state.Start) { s.Events = raws(`null`) }, "an event is an object"},
		"event out of range": {func(s *state.Start) { s.Events = raws(`{"data":1e999}`) }, "out of range"},
		"memo that is none":  {func(s *state.Start) { s.Steps = []state.Step{{ID: "a", Memo: json.RawMessage(`{`)}} }, "step a"},
		"input that is none": {func(s *state.Start) { s.Inputs = []state.Step{{ID: "b"}} }, "step b"},
	} {
		start := rerun(t, s.node, "fn")
		c.change(&start)
		require.ErrorContains(t, s.node.StartRun(t.Context(), start), c.err, name)
	}
	s.passed()
	require.Zero(t, s.node.Stats().Runs)
}

// Any process takes a start, also while nobody serves its partition.
func TestRerunOfARunElsewhere(t *testing.T) {
	t.Parallel()
	s, other := elsewhere(t)
	s.register(on("fn", "e"))
	s.eventually(func() bool { _, ok := other.bus.Registry().Catalog().Function(fnID("fn")); return ok })
	start := rerun(t, other, "fn")
	require.NoError(t, other.StartRun(t.Context(), start))
	require.Equal(t, start.RunID, s.call().RunID)

	s.node.Close()
	late := rerun(t, other, "fn")
	require.NoError(t, other.StartRun(t.Context(), late))
	s.node = NewNode(Config{Bus: s.bus, Name: "test", History: s.rec})
	s.node.Start(t.Context())
	leased := map[ulid.ULID]bool{}
	for range 2 {
		leased[s.call().RunID] = true
	}
	require.Equal(t, map[ulid.ULID]bool{start.RunID: true, late.RunID: true}, leased)
}

func TestWhatIsLive(t *testing.T) {
	t.Parallel()
	s, other := elsewhere(t)
	s.register(on("fn", "begin"))
	require.True(t, s.node.Owns(0))
	require.True(t, s.node.Owns(1))
	for _, p := range []int{-1, 2} {
		require.False(t, s.node.Owns(p))
	}
	require.False(t, other.Owns(0))

	_, executing := s.node.Executing(ulid.Make())
	require.False(t, executing)
	before := time.UnixMilli(s.now().UnixMilli())
	lease := s.begin("begin")
	since, executing := s.node.Executing(lease.RunID)
	require.True(t, executing)
	require.False(t, since.Before(before))
	require.False(t, since.After(s.now()))
	_, executing = other.Executing(lease.RunID)
	require.False(t, executing)
	_, executing = s.node.Executing(ulid.Make())
	require.False(t, executing, "of another run")

	t1 := complete(lease, ``)
	t1.Finish, t1.Jobs = nil, []state.Job{{ID: "z", Kind: state.JobSleep, Step: "z"}}
	s.commit(t1)
	s.lease(queue.LaneWake)
	_, executing = s.node.Executing(lease.RunID)
	require.False(t, executing, "a sleep ends without a call")
}
