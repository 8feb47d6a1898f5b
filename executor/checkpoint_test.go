package executor

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/state"
)

// sdk-protocol §18.1.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	a := withData(driver.OpStepRun, stepA, `{"b":1,"a":2}`)
	savedA := []state.Save{{Step: stepA, Memo: raw(`{"data":{"a":2,"b":1}}`)}}
	boom := driver.UserError{Name: "Error", Message: "m"}
	large := `"` + strings.Repeat("x", MaxStepOutput) + `"`
	cases := map[string]struct {
		ops  []driver.Opcode
		want *state.Transition // nil when nothing is stored
		err  string
		is   error
	}{
		"nothing": {},
		"steps": {
			ops:  []driver.Opcode{a, withData(driver.OpStep, stepZ, `{"data":1}`)},
			want: &state.Transition{ResetJob: "job", Saves: append(savedA[:1:1], state.Save{Step: stepZ, Memo: raw(`{"data":1}`)})},
		},
		"a planned step is for display": {ops: []driver.Opcode{op(driver.OpStepPlanned, stepP1), a}, want: &state.Transition{ResetJob: "job", Saves: savedA}},
		"defers": {
			ops: []driver.Opcode{
				withOpts(driver.OpDeferAdd, "d1", "", `{"fn_slug":"s","input":{}}`), withOpts(driver.OpDeferAbort, "d2", "", `{"target_hashed_id":"d0"}`),
			},
			want: &state.Transition{ResetJob: "job", Defers: []state.Defer{{ID: "d1", Slug: "s", Status: state.DeferAfterRun, Input: raw(`{}`)}}, AbortDefers: []string{"d0"}},
		},
		"an abort that names nothing": {ops: []driver.Opcode{withOpts(driver.OpDeferAbort, "d2", "", `{}`)}},
		"an async op refuses all":     {ops: []driver.Opcode{a, withOpts(driver.OpSleep, stepZ, "1s", "")}, err: "cannot checkpoint async steps", is: ErrRefused},
		"a wait refuses all":          {ops: []driver.Opcode{a, op(driver.OpWaitForEvent, stepZ)}, err: "cannot checkpoint async steps", is: ErrRefused},
		"what came before a failure stays": {
			ops:  []driver.Opcode{a, withError(driver.OpStepFailed, stepBad, boom), withData(driver.OpStepRun, stepZ, `1`)},
			want: &state.Transition{Saves: savedA}, err: "cannot checkpoint opcode: StepFailed", is: ErrRefused,
		},
		"an error that may be retried is no async step": {
			ops:  []driver.Opcode{a, withError(driver.OpStepError, stepBad, boom)},
			want: &state.Transition{Saves: savedA}, err: "cannot checkpoint opcode: StepError", is: ErrRefused,
		},
		"the end of the run": {ops: []driver.Opcode{withData(driver.OpRunComplete, "c", `1`)}, err: "cannot checkpoint opcode: RunComplete", is: ErrRefused},
		"a step too large": {
			ops:  []driver.Opcode{a, withData(driver.OpStepRun, stepZ, large)},
			want: &state.Transition{Saves: savedA}, err: "step " + stepZ + ": step output too large", is: ErrStepTooLarge,
		},
		"output that no JSON has": {ops: []driver.Opcode{withData(driver.OpStepRun, stepZ, `1e999`)}, err: "output of step " + stepZ, is: ErrRefused},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(nil)
			err := r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: "job"}, c.ops)
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
				require.ErrorIs(t, err, c.is)
			}
			if c.want == nil {
				require.Empty(t, r.store.commits)
				return
			}
			c.want.RunID = goldenRun
			require.NotNil(t, r.store.commits[0].Reported)
			r.store.commits[0].Reported = nil // see TestWhatIsToldOfReportedSteps
			require.Equal(t, []*state.Transition{c.want}, r.store.commits)
		})
	}
}

func TestCheckpointStateLimit(t *testing.T) {
	t.Parallel()
	r := newRig(nil)
	memo := len(`{"data":1}`)
	r.Limits.SetStateSizeLimit(goldenFn, r.store.run.Size+memo)
	err := r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: ""}, []driver.Opcode{withData(driver.OpStepRun, stepA, `1`), withData(driver.OpStepRun, stepZ, `2`)})
	require.ErrorIs(t, err, ErrStateTooLarge)
	require.Equal(t, []state.Save{{Step: stepA, Memo: raw(`{"data":1}`)}}, r.store.commits[0].Saves)

	// The report is repeated, since its answer was lost.
	r.store.run.Steps = []state.Step{{ID: stepA, Memo: raw(`{"data":1}`)}}
	r.store.run.Size += memo
	require.NoError(t, r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: ""}, []driver.Opcode{withData(driver.OpStepRun, stepA, `1`)}))
}

func TestCheckpointErrorsOfTheStore(t *testing.T) {
	t.Parallel()
	r := newRig(nil)
	broken := errors.New("broken")
	r.store.commitErr = broken
	require.ErrorIs(t, r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: ""}, []driver.Opcode{withData(driver.OpStepRun, stepA, `1`)}), broken)
	r.store.loadErr = state.ErrRunNotFound
	require.ErrorIs(t, r.Checkpoint(t.Context(), Reporter{RunID: goldenRun, Job: ""}, nil), state.ErrRunNotFound)
}
