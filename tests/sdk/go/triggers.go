package main

import "github.com/inngest/inngestgo"

// triggerFunctions differ in what starts their runs.
func triggerFunctions(a *app) []function {
	event := func(name string) inngestgo.Trigger { return inngestgo.EventTrigger(name, nil) }
	eventIf := func(name, expression string) inngestgo.Trigger {
		return inngestgo.EventTrigger(name, &expression)
	}
	type triggers = inngestgo.MultipleTriggers
	return []function{
		{id: "echo", body: echo},
		{id: "trigger-wildcard", on: triggers{event(a.id + ".wild/*")}, body: echo},
		{id: "trigger-dotted", on: triggers{event(a.id + "/dot.*")}, body: echo},
		{id: "trigger-expression", on: triggers{eventIf(a.id+"/expr", "event.data.kind == 'yes'")}, body: echo},
		{id: "trigger-multiple", on: triggers{
			event(a.id + "/multi.a"),
			event(a.id + "/multi.b"),
			eventIf(a.id+"/multi.c", "event.data.kind == 'yes'"),
		}, body: echo},
		{id: "cron", on: triggers{inngestgo.CronTrigger("* * * * *")}, body: logsTime("cron")},
		{id: "on-timer", on: triggers{event("inngest/scheduled.timer")}, body: logsTime("on-timer")},
	}
}

func echo(r *run) (any, error) {
	r.note("echo", map[string]any{"name": r.input.Event.Name, "data": r.input.Event.Data})
	return r.input.Event, nil
}

// logsTime records cron runs, which carry no token, under the app's own name.
func logsTime(step string) func(*run) (any, error) {
	return func(r *run) (any, error) {
		r.app.calls.Record(Call{
			Token: r.app.id, Step: step, Attempt: r.attempt(), Run: r.input.InputCtx.RunID,
			Detail: map[string]any{"name": r.input.Event.Name, "data": r.input.Event.Data},
		})
		return r.input.Event.Data, nil
	}
}
