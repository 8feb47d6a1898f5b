package sdk_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// scenario is one behaviour that every SDK has to see alike.
type scenario struct {
	name string

	// The scenario is one run of the function fn (by default: name) of the app
	// with this suffix, started by its event with this data ...
	suffix string
	fn     string
	data   map[string]any
	act    func(t *trial, runID string) // what happens meanwhile

	// ... which has to end like this.
	status   string           // by default: Completed
	output   string           // JSON; "": not looked at
	says     string           // what the output contains
	attempts map[string][]int // of each step that ran, in order
	gaps     []gap
	check    func(t *trial, run harness.Run)

	// Or else it is all of this.
	whole func(t *trial)

	skip map[string]string // why an SDK cannot do it, by SDK
	nats string            // why it is only so on NATS, "" if it is so on Redis, too
	slow bool              // not with -short
}

// once is the attempts of steps that each ran once, at once.
func once(steps ...string) map[string][]int {
	attempts := map[string][]int{}
	for _, step := range steps {
		attempts[step] = []int{0}
	}
	return attempts
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	all := slices.Concat(
		stepScenarios, waitScenarios, invokeScenarios, groupScenarios, errorScenarios,
		gatewayScenarios, lifecycleScenarios, triggerScenarios, streamScenarios, checkpointScenarios, realtimeScenarios, middlewareScenarios, commandScenarios,
		concurrencyScenarios, rateScenarios, gatherScenarios, orderScenarios, endScenarios,
	)
	for _, s := range sdks {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for _, sc := range all {
				t.Run(sc.name, func(t *testing.T) {
					t.Parallel()
					sc.run(t, s)
				})
			}
		})
	}
}

func (sc scenario) run(t *testing.T, s sdk) {
	if reason, ok := sc.skip[s.name]; ok {
		t.Skip(reason)
	}
	if sc.nats != "" {
		onlyOnNATS(t, sc.nats)
	}
	if sc.slow && testing.Short() {
		t.Skip("slow")
	}
	tr := newTrial(t, sharedDeployment(t), s.name)
	if sc.whole != nil {
		sc.whole(tr)
		return
	}
	fn := sc.fn
	if fn == "" {
		fn = sc.name
	}
	runID := tr.start(sc.suffix+"/"+fn, sc.data)
	if sc.act != nil {
		sc.act(tr, runID)
	}
	sc.judge(tr, tr.end(runID))
}

func (sc scenario) judge(t *trial, run harness.Run) {
	want := sc.status
	if want == "" {
		want = "Completed"
	}
	require.Equal(t, want, run.Status, "output: %.2000s", run.Output)
	if sc.output != "" {
		require.JSONEq(t, sc.output, string(run.Output))
	}
	if sc.says != "" {
		require.Contains(t, string(run.Output), sc.says)
	}
	if sc.attempts != nil {
		t.attempts(sc.attempts)
	}
	for _, g := range sc.gaps {
		t.apart(g)
	}
	if sc.check != nil {
		sc.check(t, run)
	}
}
