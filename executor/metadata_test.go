package executor

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/executor/driver"
	"jetstep/state"
)

func TestMetadataOfStepsAreScreened(t *testing.T) {
	t.Parallel()
	item := `{"scope":"step","kind":"k","op":"set","values":{"a":1}}`
	with := func(metadata, opts string) driver.Opcode {
		o := withOpts(driver.OpStepRun, stepA, "", opts)
		if metadata != "" {
			o.Metadata = raw(metadata)
		}
		return o
	}
	experiment := `{"scope":"step","kind":"inngest.experiment","op":"merge","values":{"name":"colours","selection_strategy":"weighted","variant":"red"}}`
	for name, c := range map[string]struct {
		op   driver.Opcode
		have int
		want string
		size int
	}{
		"none":              {op: with("", "")},
		"valid":             {op: with("["+item+"]", ""), want: "[" + item + "]", size: 8},
		"partly valid":      {op: with(`[{"scope":"x"},`+item+"]", ""), want: "[" + item + "]", size: 8},
		"not valid":         {op: with(`{"scope":"step"}`, "")},
		"of an experiment":  {op: with("", `{"experimentName":"colours","variant":"red","selectionStrategy":"weighted"}`), want: "[" + experiment + "]", size: 84},
		"of a wrong one":    {op: with("", `{"experimentName":1}`)},
		"of a nameless one": {op: with("", `{"experimentName":""}`)},
		"too many":          {op: with("["+item+"]", ""), have: state.MaxRunMetadata - 7, want: `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := newRun()
			run.MetadataSize = c.have
			list := []driver.Opcode{c.op}
			require.Equal(t, c.size, newRig(nil).screenMetadata(run, list))
			require.Equal(t, c.want, string(list[0].Metadata))
		})
	}
}

func TestStaleCalls(t *testing.T) {
	t.Parallel()
	old := at.Add(-freshFor).UnixMilli()
	for name, c := range map[string]struct {
		call Reporter
		want bool
	}{
		"the present one":     {Reporter{Job: "j", Generation: 3, StartedAt: old}, false},
		"an older one":        {Reporter{Job: "j", Generation: 2, StartedAt: old}, true},
		"of a job that ended": {Reporter{Job: "gone", Generation: 1, StartedAt: old}, true},
		"a fresh one":         {Reporter{Job: "gone", Generation: 1, StartedAt: old + 1}, false},
		"of no generation":    {Reporter{Job: "gone", StartedAt: old}, false},
		"of no job":           {Reporter{Generation: 1, StartedAt: old}, false},
	} {
		run := newRun()
		run.Jobs = []state.Job{{ID: "j", Generation: 2}}
		require.Equal(t, c.want, c.call.stale(run, at), name)
	}
	r := newRig(nil)
	call := Reporter{RunID: goldenRun, Job: "gone", Generation: 1, StartedAt: old}
	require.NoError(t, r.Checkpoint(t.Context(), call, []driver.Opcode{withData(driver.OpStepRun, stepA, `1`)}), "unless it is wanted")
	r.RefuseStale = true
	require.ErrorIs(t, r.Checkpoint(t.Context(), call, nil), ErrStale)
}
