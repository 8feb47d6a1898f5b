package sdk_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

var triggerScenarios = []scenario{
	{
		name: "event as sent",
		whole: func(t *trial) {
			data := map[string]any{"x": 1.5, "text": "é <&>", "nothing": nil, "list": []any{1, "a", map[string]any{}}}
			id := t.send(t.event("/echo", data))[0]
			got := decode[map[string]any](t, t.end(t.onlyRun(id)).Output)
			require.Equal(t, id, got["id"])
			require.Equal(t, t.sdk+"/echo", got["name"])
			require.InDelta(t, time.Now().UnixMilli(), got["ts"], float64(trialTimeout.Milliseconds()))
			data["token"], data["list"] = t.token, []any{1.0, "a", map[string]any{}}
			require.Equal(t, data, got["data"])
		},
	},
	{name: "trigger wildcard after slash", whole: triggers("trigger-wildcard", ".wild/a", ".wild/b.c", ".wild/d/e")},
	{name: "trigger wildcard after dot", whole: triggers("trigger-dotted", "/dot.a", "/dot.b.c")},
	{name: "trigger multiple", whole: triggers("trigger-multiple", "/multi.a", "/multi.b")},
	{name: "trigger expression", whole: triggersIf("/expr")},
	{name: "trigger expression of one of several", whole: triggersIf("/multi.c")},
	{
		name: "event starts nothing",
		whole: func(t *trial) {
			// "/dot" is the prefix of a wildcard, but not matched by it.
			ids := t.send(t.event("/dot", nil), t.event("/dot.x", nil))
			t.end(t.onlyRun(ids[1]))
			runs, err := t.client.Runs(t.ctx, ids[0])
			require.NoError(t, err)
			require.Empty(t, runs)
		},
	},
	{name: "event sent twice", whole: sentTwice},
	{
		name: "cron is registered",
		whole: func(t *trial) {
			functions, err := t.client.DevFunctions(t.ctx)
			require.NoError(t, err)
			for _, fn := range functions {
				if fn.Slug == t.sdk+"-cron" {
					require.Len(t, fn.Triggers, 1)
					require.Equal(t, "* * * * *", fn.Triggers[0].Cron)
					return
				}
			}
			require.Fail(t, "no such function")
		},
	},
}

// triggers sends events that each start one run of the function.
func triggers(fn string, names ...string) func(*trial) {
	return func(t *trial) {
		var events []harness.Event
		for _, name := range names {
			events = append(events, t.event(name, nil))
		}
		for i, id := range t.send(events...) {
			run := t.end(t.onlyRun(id))
			require.Equal(t, "Completed", run.Status, "%s: %s", fn, run.Output)
			require.Equal(t, t.sdk+names[i], decode[map[string]any](t, run.Output)["name"])
		}
	}
}

// triggersIf sends an event that does not satisfy the trigger's expression and
// then one that does. Events of one name are looked at in order, so the second
// one's run tells that the first one was dealt with.
func triggersIf(name string) func(*trial) {
	return func(t *trial) {
		ids := t.send(
			t.event(name, map[string]any{"kind": "no"}),
			t.event(name, map[string]any{}),
			t.event(name, map[string]any{"kind": "yes"}),
		)
		require.Equal(t, "Completed", t.end(t.onlyRun(ids[2])).Status)
		for _, id := range ids[:2] {
			started, err := t.client.Runs(t.ctx, id)
			require.NoError(t, err)
			require.Empty(t, started)
		}
		t.attempts(once("echo"))
	}
}

// sentTwice sends an event twice under one id, at once and again later. A last
// event of the same name tells when the server has dealt with all.
func sentTwice(t *trial) {
	event := t.event("/echo", map[string]any{"n": 1})
	event.ID = "same-" + t.token
	ids := t.send(event, event)
	t.end(t.onlyRun(ids[0]))
	ids = append(ids, t.send(event, t.event("/echo", map[string]any{"n": 2}))...)
	t.end(t.onlyRun(ids[3]))
	t.attempts(map[string][]int{"echo": {0, 0}})
}

// TestCron waits for the turn of the minute.
func TestCron(t *testing.T) {
	if testing.Short() {
		t.Skip("takes up to a minute")
	}
	t.Parallel()
	for _, s := range sdks {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			d := sharedDeployment(t)
			app, err := d.apps[s.name]()
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 75*time.Second)
			defer cancel()
			for _, step := range []string{"cron", "on-timer"} {
				calls, err := app.AwaitCalls(ctx, s.name, step, 1)
				require.NoError(t, err)
				got := decode[struct {
					Name string
					Data struct {
						Cron        string
						ScheduledAt time.Time
					}
				}](t, calls[0].Detail)
				require.Equal(t, "inngest/scheduled.timer", got.Name)
				require.Equal(t, "* * * * *", got.Data.Cron)
				require.Zero(t, got.Data.ScheduledAt.Second())
				require.GreaterOrEqual(t, calls[0].At, got.Data.ScheduledAt.UnixMilli())
			}
		})
	}
}
