// Command go is the SDK test app on the Go SDK: the counterpart of the
// TypeScript apps beside it, with the same functions under the same names, so
// that one table of scenarios drives all of them.
//
// It serves several clients of the SDK, each under a path of its own:
//
//	/api/inngest      the functions of the main app, "go"
//	/api/other        a second app, target of invocations across apps
//	/api/stream       served with streamed responses
//	/api/checkpoint   with checkpointing on
//	/api/flow         functions with flow control
//	/api/redeployed   an app that has two versions (see redeployedApp)
//	/endpoint/...     durable endpoints
//	/calls?token=T    the call log (see [CallLog])
//	/let?token=T&n=N  lets N more steps through their gate (see [Gates])
//	/redeploy?to=new  changes its version; to=old changes it back
//	/health           200 once the app listens
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/inngest/inngestgo"
	"github.com/inngest/inngestgo/pkg/checkpoint"
)

// appID names the main app and is the prefix of its events.
const appID = "go"

func main() {
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

// serve listens on 127.0.0.1:$PORT until the process is killed.
func serve() error {
	calls, err := OpenCallLog(os.Getenv("CALLS_FILE"))
	if err != nil {
		return err
	}
	s := &shared{calls: calls}
	mux := http.NewServeMux()
	for _, m := range []mount{
		{path: "/api/inngest", functions: mainFunctions},
		{path: "/api/other", suffix: "-other", functions: otherFunctions},
		{path: "/api/stream", suffix: "-stream", stream: true, functions: streamFunctions},
		{path: "/api/checkpoint", suffix: "-checkpoint", checkpoint: checkpoint.ConfigSafe, functions: checkpointFunctions},
		{path: "/api/flow", suffix: "-flow", functions: flowFunctions},
	} {
		handler, err := m.handler(s)
		if err != nil {
			return fmt.Errorf("mounting %s: %w", m.path, err)
		}
		mux.Handle(m.path, handler)
	}
	redeployed, err := newRedeployedApp(s)
	if err != nil {
		return fmt.Errorf("mounting /api/redeployed: %w", err)
	}
	mux.Handle("/api/redeployed", redeployed)
	mux.Handle("/endpoint/", endpoints(calls))
	mux.HandleFunc("GET /let", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		s.gates.Let(r.FormValue("token"), n)
	})
	mux.HandleFunc("GET /redeploy", func(_ http.ResponseWriter, r *http.Request) {
		redeployed.isNew.Store(r.FormValue("to") == "new")
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(calls.Of(r.FormValue("token")))
	})

	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		return err
	}
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)
	return http.Serve(listener, mux)
}

// mount is one client of the SDK and the path where it is served.
type mount struct {
	path       string
	suffix     string // of the app's id
	stream     bool
	checkpoint *checkpoint.Config
	functions  func(*app) []function
}

func (m mount) handler(s *shared) (http.Handler, error) {
	client, err := inngestgo.NewClient(inngestgo.ClientOpts{
		AppID:        appID + m.suffix,
		UseStreaming: m.stream,
		Checkpoint:   m.checkpoint,
	})
	if err != nil {
		return nil, err
	}
	a := &app{id: appID + m.suffix, client: client, shared: s}
	for _, fn := range m.functions(a) {
		if err := a.define(fn); err != nil {
			return nil, fmt.Errorf("function %s: %w", fn.id, err)
		}
	}
	return client.Serve(), nil
}

func mainFunctions(a *app) []function {
	var all []function
	for _, group := range []func(*app) []function{
		stepFunctions, waitFunctions, invokeFunctions, parallelFunctions, errorFunctions,
		gatewayFunctions, lifecycleFunctions, triggerFunctions,
	} {
		all = append(all, group(a)...)
	}
	return all
}
