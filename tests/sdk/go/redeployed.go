package main

import (
	"net/http"
	"sync/atomic"

	"github.com/inngest/inngestgo"
)

// redeployedApp is an app of which a new version is deployed, while calls still
// reach instances of the old one: what it answers to the server's questions
// about its functions is of the version that the test chose, but it answers
// calls of all functions.
type redeployedApp struct {
	old, renewed http.Handler
	isNew        atomic.Bool
}

func newRedeployedApp(s *shared) (*redeployedApp, error) {
	old, err := mount{suffix: "-redeployed", functions: oldFunctions}.handler(s)
	if err != nil {
		return nil, err
	}
	renewed, err := mount{suffix: "-redeployed", functions: newFunctions}.handler(s)
	return &redeployedApp{old: old, renewed: renewed}, err
}

func (d *redeployedApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.isNew.Load() && r.Method != http.MethodPost {
		d.renewed.ServeHTTP(w, r)
		return
	}
	d.old.ServeHTTP(w, r)
}

// oldFunctions are those of the old version. "stays" has the event of "leaves",
// and so tells when an event has been looked at.
func oldFunctions(a *app) []function {
	leaves := inngestgo.MultipleTriggers{inngestgo.EventTrigger(a.id+"/leaves", nil)}
	return []function{
		{id: "stays", on: leaves, body: func(r *run) (any, error) { return do(r, "stayed", give(0)) }},
		{id: "widens", flow: options{Concurrency: limits(limit(1, byToken))}, body: held},
		{id: "leaves", body: func(r *run) (any, error) {
			_, err := do(r, "before", func() (any, error) { return nil, r.app.gates.Pass(r.ctx, r.token()) })
			if err != nil {
				return nil, err
			}
			if _, err := do(r, "after", give(0)); err != nil {
				return nil, err
			}
			return "left", nil
		}},
	}
}

// newFunctions are those of the new version: one has another limit, and one is
// missing.
func newFunctions(a *app) []function {
	functions := oldFunctions(a)[:2]
	functions[1].flow.Concurrency = limits(limit(3, byToken))
	return functions
}
