package trace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
)

const done = "0737c22d3bfae812339732d14d8c7dbd6dc4e09c" // names what checkpointing SDKs end with

// legacyOf is the older shape of captured runs, a line for each node: name,
// status, attempts, op, whether there is an output.
var legacyOf = map[string]string{
	"01M8AFXHGK076EHXZT178AT9G7": `
fixture-app-hello COMPLETED 0 - output
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH0HYK8QTA121GEVT3AG": `
fixture-app-caught-step COMPLETED 0 - output
  will-fail FAILED 1 - output
    Attempt 0 FAILED 0 - output
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH1FK1N6BYA2Y864PRBC": `
fixture-app-waiter COMPLETED 0 - output
  approval COMPLETED 0 WAIT_FOR_EVENT -
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH1CD7Z09519A5EE850B": `
fixture-app-parent COMPLETED 0 - output
  call-child COMPLETED 0 INVOKE output
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH1D80DNNXMN63A49J0K": `
fixture-app-parallel COMPLETED 0 - output
  left COMPLETED 0 RUN output
  right COMPLETED 0 RUN output
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH1N9ZP3RV9VFSWN0GJQ": `
fixture-app-sleeper COMPLETED 0 - output
  short-nap COMPLETED 0 SLEEP -
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH1XAW88ZMD4A8YCFJ0X": `
fixture-app-retry-step COMPLETED 0 - output
  flaky COMPLETED 1 RUN output
    Attempt 0 FAILED 0 RUN output
    Attempt 1 COMPLETED 1 RUN output
  ` + done + ` COMPLETED 0 - output`,
	"01M8AFXH2TTMTB471120WCPH09": `
fixture-app-fail-fn FAILED 0 - output
  execute FAILED 2 - output
    Attempt 0 FAILED 0 - output
    Attempt 1 FAILED 1 - output`,
	"01M8AFXH3CDH861Q5MXRH6G76K": `
fixture-app-non-retriable FAILED 0 - output
  bad FAILED 1 - output
    Attempt 0 FAILED 0 - output
  function error FAILED 1 - output
    Attempt 0 FAILED 0 - output`,
	"01M8AFYXWG3ZV2X8S6Y7WKM5JK": `
fixture-app-cancellable CANCELLED 0 - -
  long RUNNING 0 SLEEP -
    Attempt 0 RUNNING 0 SLEEP -`,
	"01M8AFXJQHEZXWQ7FW7BJPEBB9": `
fixture-app-signal-waiter COMPLETED 0 - output
  sig COMPLETED 0 WAIT_FOR_SIGNAL -
  ` + done + ` COMPLETED 0 - output`,
}

func TestLegacyOfCapturedRuns(t *testing.T) {
	t.Parallel()
	rows := tracetest.Rows(t, root)
	for id, want := range legacyOf {
		run, err := trace.Assemble(tracetest.OfRun(rows, id))
		require.NoError(t, err)
		tree := run.Legacy("0123", time.Date(2026, 11, 25, 23, 17, 30, 0, time.UTC))
		require.Equal(t, strings.TrimSpace(want), strings.Join(lines(tree, 0), "\n"), id)
		requireLegacyFields(t, tree, tree)
	}
}

// requireLegacyFields checks what holds for every node of the older shape.
func requireLegacyFields(t *testing.T, root, n *trace.Node) {
	require.Equal(t, n == root, n.IsRoot)
	require.Equal(t, "0123", n.TraceID)
	require.Empty(t, n.StepType)
	require.Empty(t, n.Metadata)
	require.Nil(t, n.Response)
	require.True(t, n.ScheduledAt.IsZero())
	if n == root {
		require.Nil(t, n.ParentID)
	} else {
		require.Equal(t, root.SpanID, *n.ParentID, "attempts hang below the root too")
	}
	for _, child := range n.Children {
		requireLegacyFields(t, root, child)
	}
}

func lines(n *trace.Node, depth int) []string {
	op, output := "-", "-"
	if n.StepOp != "" {
		op = string(n.StepOp)
	}
	if n.OutputID != "" {
		output = "output"
	}
	all := []string{fmt.Sprintf("%s%s %s %d %s %s", strings.Repeat("  ", depth), n.Name, n.Status, n.Attempts, op, output)}
	for _, child := range n.Children {
		all = append(all, lines(child, depth+1)...)
	}
	return all
}
