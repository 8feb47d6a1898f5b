package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type sendArguments struct {
	Name        string         `json:"name" jsonschema:"name of the event"`
	Data        map[string]any `json:"data,omitempty" jsonschema:"what the event tells"`
	User        map[string]any `json:"user,omitempty" jsonschema:"whom it concerns"`
	EventIDSeed string         `json:"eventIdSeed,omitempty" jsonschema:"the same seed starts no second run within a day"`
}

type sendResult struct {
	EventID string   `json:"eventId"` // internal
	RunIDs  []string `json:"runIds"`  // those known after a moment
	Status  string   `json:"status"`
	Message string   `json:"message"`
}

type invokeSyncArguments struct {
	FunctionID string         `json:"functionId" jsonschema:"slug (app-function) or UUID of the function"`
	Data       map[string]any `json:"data,omitempty" jsonschema:"input of the function"`
	User       map[string]any `json:"user,omitempty" jsonschema:"whom it concerns"`
	Timeout    float64        `json:"timeout,omitempty" jsonschema:"seconds to wait at most, 30 by default"`
}

type invokeSyncResult struct {
	EventID string          `json:"eventId"` // internal
	RunID   string          `json:"runId,omitempty"`
	Status  string          `json:"status"`
	Output  json.RawMessage `json:"output,omitempty"`
	Message string          `json:"message"`
}

// runsPatience is how long a sent event's runs are waited for.
const runsPatience = 2 * time.Second

func (s *Server) addEventTools(tools *mcp.Server) {
	mcp.AddTool(tools, &mcp.Tool{Name: "send_event", Description: "Sends an event, which starts the functions that it triggers"}, s.sendEvent)
	mcp.AddTool(tools, &mcp.Tool{Name: "invoke_function_sync", Description: "Starts a run of a function and waits for its result"}, s.invokeSync)
}

// event is what is stored of arguments; empty members are left out.
type event struct {
	ID   string         `json:"id,omitempty"`
	Name string         `json:"name,omitempty"`
	Data map[string]any `json:"data,omitempty"`
	User map[string]any `json:"user,omitempty"`
}

func (s *Server) sendEvent(ctx context.Context, _ *mcp.CallToolRequest, in sendArguments) (result, any, error) {
	body, err := json.Marshal(event{ID: in.EventIDSeed, Name: in.Name, Data: in.Data, User: in.User})
	if err != nil {
		return nil, nil, err
	}
	id, err := s.cfg.Events.Send(ctx, body)
	if err != nil {
		return failed("The event was not accepted: " + err.Error()), nil, nil
	}
	sent := sendResult{EventID: id.String(), RunIDs: []string{}, Status: "accepted"}
	listeners := len(s.cfg.Catalog.Catalog().Triggered(in.Name))
	if listeners == 0 {
		sent.Message = fmt.Sprintf("Event %q was accepted. No function is triggered by it.", in.Name)
		return nil, sent, nil
	}
	waiting, cancel := context.WithTimeout(ctx, runsPatience)
	defer cancel()
	sent.RunIDs = append(sent.RunIDs, s.awaitRuns(waiting, sent.EventID, listeners)...)
	sent.Message = fmt.Sprintf("Event %q was accepted and has %d runs so far.", in.Name, len(sent.RunIDs))
	return nil, sent, nil
}

func (s *Server) invokeSync(ctx context.Context, _ *mcp.CallToolRequest, in invokeSyncArguments) (result, any, error) {
	fn, ok := s.cfg.Catalog.Catalog().Lookup(in.FunctionID)
	if !ok {
		return failed(fmt.Sprintf("There is no function %q. The tools get_apps and list_functions tell which there are.", in.FunctionID)), nil, nil
	}
	body, err := json.Marshal(event{Data: in.Data, User: in.User})
	if err != nil {
		return nil, nil, err
	}
	id, err := s.cfg.Events.Invoke(ctx, fn.Slug, body, "")
	if err != nil {
		return failed("The function was not invoked: " + err.Error()), nil, nil
	}
	waiting, cancel := context.WithTimeout(ctx, seconds(in.Timeout))
	defer cancel()
	done := invokeSyncResult{EventID: id.String(), Status: statusUnknown, Message: "No run was made before the time was over."}
	runs := s.awaitRuns(waiting, done.EventID, 1)
	if len(runs) == 0 {
		return nil, done, nil
	}
	done.RunID = runs[0]
	run := s.await(waiting, done.RunID)
	done.Status, done.Output = run.Status, run.Output
	switch {
	case !run.ended():
		done.Message = "The run had not ended when the time was over. poll_run_status waits for it."
	case run.Status == "COMPLETED":
		done.Message = "The run has completed."
	default:
		done.Message = "The run has ended without success."
	}
	return nil, done, nil
}

// await waits until a run has ended or ctx ends.
func (s *Server) await(ctx context.Context, id string) (run *runStatus) {
	waitUntil(ctx, 4*minPoll, func() bool {
		run = s.statusOrReason(ctx, id)
		return run.ended()
	})
	return run
}
