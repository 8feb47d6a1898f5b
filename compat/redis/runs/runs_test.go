package runs_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/redistest"
	"jetstep/compat/redis/runs"
	"jetstep/function"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	account     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	environment = uuid.MustParse("00000000-0000-4000-b000-000000000000")
	fn          = uuid.MustParse("62755c39-95cf-5e64-a26b-73152f904cd8")
)

// suite is a store and its database.
type suite struct {
	*testing.T
	*runs.Store
	client *redis.Client
}

func open(t *testing.T) *suite {
	client := redistest.Open(t)
	return &suite{t, runs.NewStore(client), client}
}

// newRun is a run to be created, with a key.
func newRun() *runs.New {
	id := ulid.Make()
	return &runs.New{
		Events: `[{"data":{"nap":"5m"},"id":"e","name":"lab/sleep","ts":1795648032807}]`,
		Metadata: format.Metadata{
			ID: format.Identifier{
				RunID: id, FunctionID: fn, Version: 1, EventID: ulid.Make(), EventIDs: []ulid.ULID{ulid.Make()},
				Key: function.IdempotencyKey(fn, id.String()), AccountID: account, EnvironmentID: environment,
			},
			Status: format.StatusScheduled, Version: 1, RequestVersion: format.RequestUndecided,
			SpanID: "c67a480a54f47ba3", Context: format.Context{FunctionSlug: "state-lab-sleeper"},
		},
	}
}

func (s *suite) create(n *runs.New) runs.Ref {
	s.Helper()
	id := n.Metadata.ID
	claim, err := s.Claim(s.Context(), id.AccountID, id.Key, id.RunID)
	require.NoError(s, err)
	require.Equal(s, format.Claim{RunID: id.RunID}, claim)
	existed, err := s.Create(s.Context(), n)
	require.NoError(s, err)
	require.False(s, existed)
	return runs.Ref{Run: id.RunID, Function: id.FunctionID}
}

func (s *suite) load(run ulid.ULID) *runs.Run {
	s.Helper()
	r, err := s.Load(s.Context(), run)
	require.NoError(s, err)
	return r
}

// captured loads a captured database and gives the one run whose state it has.
func (s *suite) captured(name string) *runs.Run {
	s.Helper()
	keys := redistest.Captured(s.T, name)
	redistest.Load(s.T, s.client, keys)
	for _, k := range keys {
		pattern, parts, ok := format.Identify(k.Key)
		if ok && pattern.Template == "{estate:<run>}:metadata:<run>" {
			return s.load(ulid.MustParse(parts["run"]))
		}
	}
	s.Fatal("no run in " + name)
	return nil
}

// TestCreateAsCaptured: creating the captured run again gives the captured keys.
func TestCreateAsCaptured(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-state/s17b-semaphore-capacity-missing", "redis-queue/e01-start-plain", "redis-queue/e15-cancel-on"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			original := open(t)
			r := original.captured(name)
			want := redistest.Dump(t, original.client)
			s := open(t)
			events, err := format.Encode(r.Events)
			require.NoError(t, err)
			r.Metadata.StateSize, r.Metadata.EventSize = 0, 0
			s.create(&runs.New{Metadata: *r.Metadata, Events: events})
			for key, got := range redistest.Dump(t, s.client) {
				require.Equal(t, want[key].Type, got.Type, key)
				require.Equal(t, want[key].TTL > 0, got.TTL > 0, key)
				for field, text := range want[key].Things {
					if field == "id" || field == "ctx" {
						require.JSONEq(t, text, got.Things[field])
						continue
					}
					require.Equal(t, text, got.Things[field], "%s %s", key, field)
				}
				require.Len(t, got.Things, len(want[key].Things), key)
				require.Equal(t, want[key].Text, got.Text, key)
			}
		})
	}
}

func TestCreateOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := newRun()
	n.Steps = []runs.Value{{Step: "b", JSON: `{"data":[]}`}, {Step: "a", JSON: `1`}}
	n.Inputs = []runs.Value{{Step: "c", JSON: `[{"x":1}]`}}
	ref := s.create(n)
	again := *n
	again.Events = `[{"name":"other"}]`
	existed, err := s.Create(t.Context(), &again)
	require.NoError(t, err)
	require.True(t, existed)
	r := s.load(ref.Run)
	require.Equal(t, ref, r.Ref())
	require.Equal(t, n.Steps, r.Steps, "in order, and not damaged")
	require.Equal(t, n.Inputs, r.Inputs)
	require.Contains(t, string(r.Events[0]), "lab/sleep")
	require.EqualValues(t, 2, r.Metadata.StepCount)
	require.EqualValues(t, len(n.Events)+11+1+9, r.Metadata.StateSize)

	other, err := s.Claim(t.Context(), account, n.Metadata.ID.Key, ulid.Make())
	require.NoError(t, err)
	require.Equal(t, format.Claim{RunID: ref.Run}, other, "the first run has the key")
	key := format.ClaimKey(account, "odd")
	require.NoError(t, s.client.Set(t.Context(), key, "what", 0).Err())
	mine := ulid.Make()
	odd, err := s.Claim(t.Context(), account, "odd", mine)
	require.NoError(t, err)
	require.Equal(t, format.Claim{RunID: mine}, odd, "what is no run is passed over")
}

func TestSaveStep(t *testing.T) {
	t.Parallel()
	s := open(t)
	n := newRun()
	n.Inputs = []runs.Value{{Step: "c", JSON: `[1234]`}}
	ref := s.create(n)
	require.NoError(t, s.SavePending(t.Context(), ref, []string{"a", "b"}))
	save := func(step, output string) (runs.Saved, bool) {
		saved, pending, err := s.SaveStep(t.Context(), ref, runs.Value{Step: step, JSON: output}, 5)
		require.NoError(t, err)
		return saved, pending
	}
	for _, c := range []struct {
		step, output string
		saved        runs.Saved
		pending      bool
	}{
		{"a", `1`, runs.SavedNow, true},
		{"a", `1`, runs.SavedBefore, true},
		{"a", `2`, runs.SavedOther, true},
		{"b", `[]`, runs.SavedNow, false},
		{"b", `[]`, runs.SavedBefore, false},
		{"c", `12`, runs.SavedNow, false},
		{"b", `[]`, runs.SavedBefore, true}, // it was not the last
		{"c", `12`, runs.SavedBefore, false},
	} {
		saved, pending := save(c.step, c.output)
		require.Equal(t, c.saved, saved, c)
		require.Equal(t, c.pending, pending, c)
	}
	r := s.load(ref.Run)
	require.Equal(t, []runs.Value{{Step: "a", JSON: `1`}, {Step: "b", JSON: `[]`}, {Step: "c", JSON: `12`}}, r.Steps)
	require.EqualValues(t, 3, r.Metadata.StepCount)
	require.EqualValues(t, 15, r.Metadata.MetadataSize)
	require.EqualValues(t, r.Metadata.EventSize+6+1+2+2-6, r.Metadata.StateSize, "the output takes the place of the input")
	require.Empty(t, r.Pending)
	require.NoError(t, s.SavePending(t.Context(), ref, []string{"b", "d"}))
	require.Equal(t, []string{"d"}, s.load(ref.Run).Pending, "one that finished is not planned again")

	saved, _, err := s.SaveStep(t.Context(), runs.Ref{Run: ulid.Make(), Function: fn}, runs.Value{Step: "a", JSON: "1"}, 0)
	require.NoError(t, err)
	require.Equal(t, runs.SavedGone, saved, "no key comes into being")
}

// TestSaveStepRace: of many that save one step at once, one does.
func TestSaveStepRace(t *testing.T) {
	t.Parallel()
	s := open(t)
	ref := s.create(newRun())
	var wg sync.WaitGroup
	results := make(chan runs.Saved, 20)
	for i := range 20 {
		wg.Go(func() {
			saved, _, err := s.SaveStep(t.Context(), ref, runs.Value{Step: "a", JSON: fmt.Sprint(i)}, 0)
			if err != nil {
				t.Error(err)
			}
			results <- saved
		})
	}
	wg.Wait()
	close(results)
	count := map[runs.Saved]int{}
	for saved := range results {
		count[saved]++
	}
	require.Equal(t, map[runs.Saved]int{runs.SavedNow: 1, runs.SavedOther: 19}, count)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := open(t)
	ref := s.create(newRun())
	version, other, yes, no := 2, 1, true, false
	for _, u := range []runs.Update{
		{ForcePlan: &yes, RequestVersion: &version, StartedAt: 100, HasAI: true, MetadataSize: 7},
		{RequestVersion: &other, StartedAt: 200, MetadataSize: 1},
		{},
	} {
		exists, err := s.Update(t.Context(), ref.Run, u)
		require.NoError(t, err)
		require.True(t, exists)
	}
	m, err := s.Metadata(t.Context(), ref.Run)
	require.NoError(t, err)
	require.True(t, m.ForcePlan)
	require.True(t, m.HasAI)
	require.Equal(t, 2, m.RequestVersion, "the first one")
	require.EqualValues(t, 100, m.StartedAt, "the first one")
	require.EqualValues(t, 8, m.MetadataSize)
	_, err = s.Update(t.Context(), ref.Run, runs.Update{ForcePlan: &no})
	require.NoError(t, err)
	require.False(t, s.load(ref.Run).Metadata.ForcePlan)
	require.Equal(t, "0", s.client.HGet(t.Context(), format.MetadataKey(ref.Run), "die").Val())

	gone := ulid.Make()
	exists, err := s.Update(t.Context(), gone, runs.Update{ForcePlan: &yes})
	require.NoError(t, err)
	require.False(t, exists)
	_, err = s.Load(t.Context(), gone)
	require.ErrorIs(t, err, format.ErrNoRun)
}

func TestDefers(t *testing.T) {
	t.Parallel()
	s := open(t)
	ref := s.create(newRun())
	put := func(id string, status int, input, control string) {
		require.NoError(t, s.SaveDefer(t.Context(), ref, runs.Defer{
			Defer: format.Defer{FunctionSlug: "later", HashedID: id, Status: status}, Input: input, Control: control,
		}))
	}
	put("d1", format.DeferAfterRun, `{"a":1}`, `{"s":1}`)
	put("d1", format.DeferRejected, `{"a":2}`, "")
	put("d2", format.DeferRejected, `{"a":3}`, "")
	put("d3", format.DeferAfterRun, `{"k":"one"}`, "")
	put("d4", format.DeferAfterRun, string(make([]byte, runs.MaxDeferInputs)), "")
	for _, id := range []string{"d2", "d3", "unknown"} {
		require.NoError(t, s.AbortDefer(t.Context(), ref, id))
	}
	r := s.load(ref.Run)
	require.Equal(t, []runs.Defer{
		{Defer: format.Defer{FunctionSlug: "later", HashedID: "d1", Status: format.DeferAfterRun}, Input: `{"a":1}`, Control: `{"s":1}`},
		{Defer: format.Defer{FunctionSlug: "later", HashedID: "d2", Status: format.DeferRejected}},
		{Defer: format.Defer{FunctionSlug: "later", HashedID: "d3", Status: format.DeferAborted}},
		{Defer: format.Defer{FunctionSlug: "later", HashedID: "d4", Status: format.DeferRejected}},
	}, r.Defers)
	require.EqualValues(t, 7, r.Metadata.DeferSize)
	for i := range 2 * runs.MaxDefers {
		put(fmt.Sprint("x", i), format.DeferAfterRun, "", "")
	}
	require.Len(t, s.load(ref.Run).Defers, runs.MaxDefers)
}
