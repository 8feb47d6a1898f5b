package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/inngest/inngestgo/step"
	"github.com/inngest/inngestgo/stephttp"
)

// endpoints serves durable endpoints, routes of the app whose handlers use
// steps, below /endpoint/; the handlers are those of the TypeScript app with
// the same names.
func endpoints(calls *CallLog) http.Handler {
	server := os.Getenv("INNGEST_BASE_URL")
	if server == "" {
		server = os.Getenv("INNGEST_DEV")
	}
	provider := stephttp.Setup(stephttp.SetupOpts{Optional: stephttp.OptionalSetupOpts{BaseURL: strings.TrimSuffix(server, "/")}})
	mux := http.NewServeMux()
	for name, handle := range map[string]func(e *endpoint) any{
		"steps": func(e *endpoint) any {
			a := e.run("a", 1)
			return map[string]int{"a": a, "b": e.run("b", a+1)}
		},
		"sleep": func(e *endpoint) any {
			a := e.run("a", 1)
			step.Sleep(e.ctx, "nap", time.Second)
			return map[string]int{"a": a, "b": e.run("b", a+1)}
		},
		"bare": func(*endpoint) any { return "no steps" },
	} {
		mux.HandleFunc("/endpoint/"+name, provider.ServeHTTP(func(w http.ResponseWriter, r *http.Request) {
			e := &endpoint{ctx: r.Context(), calls: calls, token: r.FormValue("token"), runID: w.Header().Get("X-Run-Id")}
			answer := handle(e)
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer)
		}))
	}
	return mux
}

// endpoint is one request.
type endpoint struct {
	ctx          context.Context
	calls        *CallLog
	token, runID string
}

// run is step.Run with a body that is recorded first.
func (e *endpoint) run(id string, result int) int {
	got, err := step.Run(e.ctx, id, func(context.Context) (int, error) {
		e.calls.Record(Call{Token: e.token, Step: id, Run: e.runID})
		return result, nil
	})
	if err != nil {
		panic(err)
	}
	return got
}
