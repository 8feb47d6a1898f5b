package migrate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/compat/migrate"
	"jetstep/state"
)

// TestCopy: everything that moves is there, is counted, and is the same; what cannot
// be read is reported.
func TestCopy(t *testing.T) {
	t.Parallel()
	from, to := newMemory("a", some(10)...), newMemory("b")
	to.without = migrate.KindSemaphore
	var last migrate.Position
	summary, reports, err := copyOf(t, migrate.Copying{From: from, To: to, Done: func(p migrate.Position, s *migrate.Summary) error {
		last = p
		require.LessOrEqual(t, s.Items(), 22)
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, migrate.Position("20"), last)
	require.Equal(t, []migrate.Report{{ID: migrate.ID{Kind: migrate.KindBad, Key: "k [m]"}, Result: migrate.Refused, Reason: "not JSON", Value: "{"}}, reports)
	require.Equal(t, migrate.Tally{Found: 10, Written: 10}, *summary.Of(migrate.KindRun))
	require.Equal(t, migrate.Tally{Found: 1, NotKept: 1}, *summary.Of(migrate.KindSemaphore))
	require.Equal(t, 3, summary.Of(migrate.KindDerived).Found)
	require.Equal(t, 1, summary.Lost())
	require.Equal(t, int64(20), summary.Read)
	require.Equal(t, map[string]int{"steps": 10, "queue items": 10}, summary.Parts)
	require.Len(t, to.items, 17)
	require.Empty(t, differing(t, from, to))

	again, _, err := copyOf(t, migrate.Copying{From: from, To: to})
	require.NoError(t, err)
	require.Equal(t, migrate.Tally{Found: 10, There: 10}, *again.Of(migrate.KindRun))
	require.Equal(t, 17, to.puts)
}

// TestDryRun writes nothing, and tells what would be.
func TestDryRun(t *testing.T) {
	t.Parallel()
	other := aRun(1)
	other.State.Steps = nil
	from, to := newMemory("a", some(3)...), newMemory("b", aRun(0).Item(), other.Item())
	summary, reports, err := copyOf(t, migrate.Copying{From: from, To: to, DryRun: true})
	require.NoError(t, err)
	require.Equal(t, migrate.Tally{Found: 3, Written: 1, There: 1, Conflicts: 1}, *summary.Of(migrate.KindRun))
	require.Len(t, reports, 2)
	require.Len(t, to.items, 2)
	require.Zero(t, to.puts)
}

// TestInterrupted: broken off anywhere, by the source, the target or the one who is
// told, a copy goes on by what its journal says, and nothing is missing or twice.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		from, to := newMemory("a", some(20)...), newMemory("b")
		path := filepath.Join(t.TempDir(), "progress.json")
		for try := 0; ; try++ {
			require.Less(t, try, 200)
			journal, err := migrate.OpenJournal(path, "a", "b")
			require.NoError(t, err)
			from.failRead, to.failPut = random.IntN(5), random.IntN(9)
			untold := random.IntN(4)
			summary, _, err := copyOf(t, migrate.Copying{
				From: from, To: to, After: journal.After, Counted: journal.Summary,
				Done: func(p migrate.Position, s *migrate.Summary) error {
					if untold--; untold == 0 {
						return errBroken
					}
					return journal.Save(p, s, false)
				},
			})
			if err == nil {
				require.NoError(t, journal.Save(journal.After, summary, true))
				require.Equal(t, 20, summary.Of(migrate.KindRun).Found)
				break
			}
			require.ErrorIs(t, err, errBroken)
		}
		from.failRead = -1
		require.Empty(t, differing(t, from, to))
		require.Equal(t, 28, to.puts, "each once")
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "progress.json")
	j, err := migrate.OpenJournal(path, "a", "b")
	require.NoError(t, err)
	require.False(t, j.Resumes())
	s := migrate.NewSummary()
	s.Of(migrate.KindRun).Written = 3
	require.NoError(t, j.Save("page 7", s, false))

	j, err = migrate.OpenJournal(path, "a", "b")
	require.NoError(t, err)
	require.True(t, j.Resumes())
	require.Equal(t, migrate.Position("page 7"), j.After)
	require.Equal(t, s, j.Summary)
	_, err = migrate.OpenJournal(path, "a", "c")
	require.ErrorIs(t, err, migrate.ErrOtherJournal)

	require.NoError(t, j.Save("page 9", s, true))
	j, err = migrate.OpenJournal(path, "a", "b")
	require.NoError(t, err)
	require.False(t, j.Resumes(), "one that was finished begins anew")

	require.NoError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err = migrate.OpenJournal(path, "a", "b")
	require.ErrorContains(t, err, path)
	_, err = migrate.OpenJournal(t.TempDir(), "a", "b")
	require.Error(t, err)
	j, err = migrate.OpenJournal(filepath.Join(t.TempDir(), "no", "file"), "a", "b")
	require.NoError(t, err)
	require.Error(t, j.Save("", s, false))
}

// TestReportFails: who cannot note what is lost ends the copy.
func TestReportFails(t *testing.T) {
	t.Parallel()
	broken := func(migrate.Report) error { return errBroken }
	_, err := migrate.Copy(t.Context(), migrate.Copying{From: newMemory("a", some(1)...), To: newMemory("b"), Report: broken})
	require.ErrorIs(t, err, errBroken)
	run := aRun(0)
	run.State.Endpoint = &state.Endpoint{}
	_, err = migrate.Copy(t.Context(), migrate.Copying{From: newMemory("a", run.Item()), To: newMemory("b"), Report: broken})
	require.ErrorIs(t, err, errBroken)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = migrate.Copy(ctx, migrate.Copying{From: newMemory("a", some(40)...), To: newMemory("b"), Report: broken})
	require.True(t, errors.Is(err, context.Canceled) || errors.Is(err, errBroken), err)
}

// TestVerify finds what differs, and what one side lacks; what has run out, or says
// nothing, is no difference.
func TestVerify(t *testing.T) {
	t.Parallel()
	changed := aRun(1)
	changed.State.Jobs[0].Due++
	only := aRun(7)
	run := aRun(9)
	a := newMemory("a", aRun(0).Item(), aRun(1).Item(), only.Item(), run.Item(),
		(&migrate.Claim{Key: "old", RunID: ulid.MustNew(1, nil), Until: 1}).Item(),
		(&migrate.Rate{FunctionID: fn, Until: 1}).Item(), (&migrate.Batched{FunctionID: fn, Until: 1}).Item(),
		(&migrate.Semaphore{ID: "unused"}).Item(), (&migrate.Bad{Key: "x"}).Item())
	b := newMemory("b", aRun(0).Item(), changed.Item(), run.Item(),
		(&migrate.Claim{Key: "kept", RunID: run.State.ID, Until: 1 << 50}).Item(),
		(&migrate.Claim{Key: "new", RunID: ulid.MustNew(2, nil), Until: 1 << 50}).Item())
	require.ElementsMatch(t, []string{"run|", "run|b", "idempotency key|a"}, differing(t, a, b))

	bad := migrate.Item{ID: changed.Item().ID, Bad: &migrate.Bad{Reason: "cut off"}}
	bad.Kind = migrate.KindBad
	b.items[changed.Item().ID] = bad
	require.NotEmpty(t, differing(t, a, b))
}

// TestDiffers tells a run that has gone on from one that is another, or older.
func TestDiffers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*state.Run)
		want   migrate.Result
	}{
		"the same":      {func(*state.Run) {}, migrate.There},
		"one step more": {func(r *state.Run) { r.Steps = append(r.Steps, state.Step{ID: "t"}) }, migrate.WentOn},
		"tried again":   {func(r *state.Run) { r.Jobs[0].Attempt = 1 }, migrate.WentOn},
		"a step fewer":  {func(r *state.Run) { r.Steps = nil }, migrate.Conflicts},
		"another step":  {func(r *state.Run) { r.Steps = []state.Step{{ID: "x"}} }, migrate.Conflicts},
		"not begun":     {func(r *state.Run) { r.StartedAt = 0 }, migrate.Conflicts},
		"another's":     {func(r *state.Run) { r.FunctionID[0]++ }, migrate.Conflicts},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := aRun(1), aRun(1)
			c.change(&there.State)
			a, b := here.Item(), there.Item()
			o := migrate.Differs(&a, &b)
			require.Equal(t, c.want, o.Result, o.Reason)
			require.Equal(t, c.want == migrate.There, o.Reason == "")
		})
	}
}

// TestCompare: each thing that matters is seen.
func TestCompare(t *testing.T) {
	t.Parallel()
	full := func() *migrate.Run {
		r := aRun(1)
		r.State.Waits, r.Waits = []state.Wait{{Kind: state.WaitEvent, Step: "w", Name: "e"}}, []migrate.Wait{{If: "x", Expires: 4}}
		r.State.Cancels, r.Cancels = []string{"c"}, []migrate.Wait{{If: "y", Expires: 5}}
		r.State.Defers = []state.Defer{{ID: "d", Slug: "later"}}
		r.State.Inputs = []state.Step{{ID: "i"}}
		r.State.Flow = &state.Flow{Priority: 3, BatchID: ulid.MustNew(3, nil)}
		r.State.Original = ulid.MustNew(4, nil)
		r.State.Jobs = append(r.State.Jobs, state.Job{ID: "k", Kind: state.JobStart})
		r.Keys, r.Semaphores = []migrate.Key{{Scope: "f", Expr: "e", Value: "v"}}, []migrate.Held{{ID: "fn:x", Weight: 1}}
		r.Throttle, r.Singleton = &migrate.Throttle{Expr: "e", Value: "v"}, "s"
		return r
	}
	for field, change := range map[string]func(*migrate.Run){
		"slug":            func(r *migrate.Run) { r.State.Slug = "x" },
		"key":             func(r *migrate.Run) { r.State.Idempotency = "x" },
		"event 0":         func(r *migrate.Run) { r.State.Events = append(r.State.Events, []byte("{}")) },
		"request version": func(r *migrate.Run) { r.State.Version = -1 },
		"plans":           func(r *migrate.Run) { r.State.ForcePlan = true },
		"ai":              func(r *migrate.Run) { r.State.HasAI = true },
		"step 0":          func(r *migrate.Run) { r.State.Steps[0].Memo = []byte("2") },
		"input i":         func(r *migrate.Run) { r.State.Inputs[0].Memo = []byte("2") },
		"pending":         func(r *migrate.Run) { r.State.Pending = []string{"p"} },
		"job j":           func(r *migrate.Run) { r.State.Jobs[0].Due++ },
		"wait w":          func(r *migrate.Run) { r.Waits[0].If = "z" },
		"cancel 0":        func(r *migrate.Run) { r.Cancels[0].Expires++ },
		"defer d":         func(r *migrate.Run) { r.State.Defers[0].Status = state.DeferAborted },
		"priority":        func(r *migrate.Run) { r.State.Flow.Priority = 0 },
		"batch":           func(r *migrate.Run) { r.State.Flow.BatchID[0]++ },
		"key f e":         func(r *migrate.Run) { r.Keys[0].Value = "w" },
		"semaphore fn:x":  func(r *migrate.Run) { r.Semaphores[0].Weight = 2 },
		"throttle":        func(r *migrate.Run) { r.Throttle.Value = "w" },
		"singleton":       func(r *migrate.Run) { r.Singleton = "" },
		"original":        func(r *migrate.Run) { r.State.Original[0]++ },
		"bytes attached":  func(r *migrate.Run) { r.State.MetadataSize = 3 },
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			here, there := full(), full()
			change(there)
			a, b := here.Item(), there.Item()
			differences := migrate.Compare(&a, &b)
			require.Len(t, differences, 1)
			require.Equal(t, field, differences[0].Field)
		})
	}
	unknown := &migrate.Debounce{FunctionID: fn}
	text := "red"
	known := &migrate.Debounce{FunctionID: fn, Text: &text}
	a, b := unknown.Item(), known.Item()
	require.Empty(t, migrate.Compare(&a, &b), "a key that one side does not know")
	for r, want := range map[migrate.Result]string{
		migrate.Written: "written", migrate.There: "there", migrate.WentOn: "went on", migrate.Conflicts: "in conflict", migrate.Refused: "refused",
	} {
		require.Equal(t, want, r.String())
		require.Equal(t, r <= migrate.WentOn, r.OK())
	}
}
