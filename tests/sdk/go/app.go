package main

import (
	"context"
	"encoding/json"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/step"
)

// app is what the functions of one client share. id is the prefix of the
// names of its events.
type app struct {
	id     string
	client inngestgo.Client
	*shared
}

// shared is what the apps of this program have in common.
type shared struct {
	calls *CallLog
	gates Gates
}

// function is one function of an app. Its trigger is the event "<app>/<id>"
// unless `on` says otherwise; retries are 0 unless given, so that an unexpected
// error fails the run at once.
type function struct {
	id      string
	on      inngestgo.MultipleTriggers
	retries int
	cancel  []inngestgo.ConfigCancel
	flow    inngestgo.FunctionOpts // only its options of flow control
	body    func(*run) (any, error)
}

func (a *app) define(fn function) error {
	on := fn.on
	if on == nil {
		on = inngestgo.MultipleTriggers{inngestgo.EventTrigger(a.id+"/"+fn.id, nil)}
	}
	options := fn.flow
	options.ID, options.Retries, options.Cancel = fn.id, &fn.retries, fn.cancel
	_, err := inngestgo.CreateFunction(a.client, options, on,
		func(ctx context.Context, input inngestgo.Input[map[string]any]) (any, error) {
			return fn.body(&run{ctx: ctx, app: a, input: input, data: decode(input.Event.Data)})
		})
	return err
}

// data holds the fields that scenarios put into an event.
type data struct {
	Token    string         `json:"token"`
	N        int            `json:"n"`
	Of       string         `json:"of"`
	Failures int            `json:"failures"`
	Event    any            `json:"event"` // name of an event, or an event
	Timeout  string         `json:"timeout"`
	If       string         `json:"if"`
	Match    string         `json:"match"`
	Signal   string         `json:"signal"`
	Conflict string         `json:"conflict"`
	App      string         `json:"app"`
	Fn       string         `json:"fn"`
	URL      string         `json:"url"`
	Body     map[string]any `json:"body"`
	Mode     string         `json:"mode"`
}

func decode(raw map[string]any) data {
	encoded, err := json.Marshal(raw)
	if err != nil {
		panic(err) // came from JSON
	}
	var d data
	if err := json.Unmarshal(encoded, &d); err != nil {
		panic(err)
	}
	return d
}

// run is one call of a function by the server.
type run struct {
	ctx   context.Context
	app   *app
	input inngestgo.Input[map[string]any]
	data  data
}

func (r *run) attempt() int { return r.input.InputCtx.Attempt }

// token groups the calls of one test. Internal events carry the token of the
// event that started the run they tell about.
func (r *run) token() string {
	if r.data.Token != "" {
		return r.data.Token
	}
	if event, ok := r.data.Event.(map[string]any); ok {
		if inner, ok := event["data"].(map[string]any); ok {
			token, _ := inner["token"].(string)
			return token
		}
	}
	return r.input.Event.Name
}

// note records a call.
func (r *run) note(step string, detail any) {
	r.app.calls.Record(Call{
		Token: r.token(), Step: step, Attempt: r.attempt(), Run: r.input.InputCtx.RunID, Detail: detail,
	})
}

// do is step.Run with a body that is recorded first.
func do[T any](r *run, id string, body func() (T, error)) (T, error) {
	return doIn(r.ctx, r, id, body)
}

// doIn is do for the context of a parallel branch.
func doIn[T any](ctx context.Context, r *run, id string, body func() (T, error)) (T, error) {
	return step.Run(ctx, id, func(context.Context) (T, error) {
		r.note(id, nil)
		return body()
	})
}

// give makes the body of a step that returns v.
func give[T any](v T) func() (T, error) {
	return func() (T, error) { return v, nil }
}

// fail makes the body of a step that fails with err.
func fail(err error) func() (any, error) {
	return func() (any, error) { return nil, err }
}
