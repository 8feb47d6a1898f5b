package engine

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/executor/driver"
	"jetstep/queue/partition"
	"jetstep/state"
)

// A process that owns no partition answers for runs of the one that does.
func TestRunsOfAnotherProcess(t *testing.T) {
	t.Parallel()
	s := &sdk{functions: map[string]func(*driver.Request) *driver.Response{
		"waiter": func(r *driver.Request) *driver.Response {
			if len(r.Stack) == 0 {
				return steps(driver.Opcode{Op: driver.OpWaitForSignal, ID: "sig", Opts: json.RawMessage(`{"signal":"s","timeout":"1h"}`)})
			}
			return done(string(r.Steps[0].Data))
		},
		"sleeper": func(*driver.Request) *driver.Response {
			return steps(driver.Opcode{Op: driver.OpSleep, ID: "nap", Name: "1h"})
		},
	}}
	e := startWith(t, bus.Config{StoreDir: t.TempDir(), ListenHost: "127.0.0.1", ListenPort: -1}, s)
	e.register(on("waiter", "wait"), on("sleeper", "sleep"))

	other, err := bus.Open(t.Context(), bus.Config{URLs: []string{e.bus.ClientURL()}})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	node := partition.NewNode(partition.Config{Bus: other, Name: "other", History: newRecorder()})

	e.send("wait", `{"text":"<a&b>"}`)
	e.send("sleep", `{}`)
	var waiter, sleeper ulid.ULID
	require.Eventually(t, func() bool {
		for _, id := range e.rec.runs() {
			run, err := node.Load(t.Context(), id)
			switch {
			case err != nil:
			case len(run.Waits) == 1:
				waiter = id
				require.JSONEq(t, `{"text":"<a&b>"}`, field(t, run.Events[0], "data"))
				require.Contains(t, string(run.Events[0]), "<a&b>", "canonical text is not escaped on the way")
			case run.Version == 2 && len(run.Jobs) == 1:
				sleeper = id
			}
		}
		return waiter != ulid.ULID{} && sleeper != ulid.ULID{}
	}, 10*time.Second, 5*time.Millisecond)

	require.NoError(t, node.Commit(t.Context(), &state.Transition{RunID: sleeper, Saves: []state.Save{{Step: "x", Memo: json.RawMessage(`{"data":"<"}`)}}}))
	run, err := node.Load(t.Context(), sleeper)
	require.NoError(t, err)
	require.Equal(t, []state.Step{{ID: "x", Memo: json.RawMessage(`{"data":"<"}`)}}, run.Steps)

	require.NoError(t, node.Cancel(t.Context(), sleeper))
	require.ErrorIs(t, node.Cancel(t.Context(), sleeper), state.ErrRunNotFound)
	_, err = node.Load(t.Context(), sleeper)
	require.ErrorIs(t, err, state.ErrRunNotFound)

	require.Eventually(t, func() bool {
		id, err := node.Signal(t.Context(), "s", json.RawMessage(`{"b":1,"a":2}`))
		return err == nil && id == waiter
	}, 10*time.Second, 5*time.Millisecond)
	_, err = node.Signal(t.Context(), "s", nil)
	require.ErrorIs(t, err, partition.ErrNoSignal)
	e.await(2)
	require.Equal(t, `{"data":{"data":{"a":2,"b":1},"signal":"s"}}`, e.rec.outcome(waiter).output)
	require.Equal(t, state.Cancelled, e.rec.outcome(sleeper).status)
}

func field(t *testing.T, object json.RawMessage, name string) string {
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &fields))
	return string(fields[name])
}
