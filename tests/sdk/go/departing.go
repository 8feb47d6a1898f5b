package main

import (
	"net/http"
	"sync/atomic"

	"github.com/inngest/inngestgo"
)

// departingApp loses a function while it goes on to answer calls of it, as a
// deployment does whose old instances end their work. What it answers to the
// server's questions about its functions depends on whether they are gone.
type departingApp struct {
	whole, rest http.Handler // with and without the function
	gone        atomic.Bool
}

func newDepartingApp(s *shared) (*departingApp, error) {
	whole, err := mount{suffix: "-departing", functions: departing}.handler(s)
	if err != nil {
		return nil, err
	}
	rest, err := mount{suffix: "-departing", functions: func(a *app) []function { return departing(a)[:1] }}.handler(s)
	return &departingApp{whole: whole, rest: rest}, err
}

func (d *departingApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.gone.Load() && r.Method != http.MethodPost {
		d.rest.ServeHTTP(w, r)
		return
	}
	d.whole.ServeHTTP(w, r)
}

// departing are its functions: the second one is that which goes away. The
// other one has the same event, and so tells when an event has been looked at.
func departing(a *app) []function {
	leaves := inngestgo.MultipleTriggers{inngestgo.EventTrigger(a.id+"/leaves", nil)}
	return []function{
		{id: "stays", on: leaves, body: func(r *run) (any, error) { return do(r, "stayed", give(0)) }},
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
