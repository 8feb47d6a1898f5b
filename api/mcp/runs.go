package mcp

import (
	"context"
	"encoding/json"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	defaultTimeout = 30 * time.Second
	maxTimeout     = 10 * time.Minute
	defaultPoll    = time.Second
	minPoll        = 50 * time.Millisecond
)

// runStatus is what the tools that follow runs tell of one.
type runStatus struct {
	RunID    string          `json:"runId"`
	Status   string          `json:"status"` // as in REST v2, or UNKNOWN
	Function string          `json:"functionId,omitempty"`
	Output   json.RawMessage `json:"output,omitempty"`
	QueuedAt string          `json:"queuedAt,omitempty"`
	EndedAt  string          `json:"endedAt,omitempty"`
	Error    string          `json:"error,omitempty"` // why nothing is known
}

const statusUnknown = "UNKNOWN"

func (r *runStatus) ended() bool {
	switch r.Status {
	case "COMPLETED", "FAILED", "CANCELLED", "SKIPPED":
		return true
	}
	return false
}

type pollArguments struct {
	RunIDs       []string `json:"runIds" jsonschema:"ids of runs, ULIDs"`
	Timeout      float64  `json:"timeout,omitempty" jsonschema:"seconds to wait at most, 30 by default"`
	PollInterval float64  `json:"pollInterval,omitempty" jsonschema:"milliseconds between two looks, 1000 by default"`
}

type pollResult struct {
	Runs      []*runStatus `json:"runs"`
	Completed bool         `json:"completed"` // all have ended
	Message   string       `json:"message"`
}

// maxPolled bounds the runs of one call.
const maxPolled = 100

func (s *Server) addRunTools(tools *mcp.Server) {
	read := &mcp.ToolAnnotations{ReadOnlyHint: true}
	mcp.AddTool(tools, &mcp.Tool{Name: "get_run_status", Description: "Status and output of a run", Annotations: read},
		func(ctx context.Context, _ *mcp.CallToolRequest, in onlyRun) (result, any, error) {
			run, err := s.status(ctx, in.RunID)
			if err != nil {
				return failed(err.Error()), nil, nil
			}
			return nil, run, nil
		})
	mcp.AddTool(tools, &mcp.Tool{Name: "poll_run_status", Description: "Waits until runs have ended, and tells their status and output", Annotations: read},
		func(ctx context.Context, _ *mcp.CallToolRequest, in pollArguments) (result, any, error) {
			if len(in.RunIDs) == 0 || len(in.RunIDs) > maxPolled {
				return failed("runIds must have 1 to 100 ids"), nil, nil
			}
			return nil, s.poll(ctx, in.RunIDs, seconds(in.Timeout), pollInterval(in.PollInterval)), nil
		})
}

// seconds is a timeout as clients give it.
func seconds(n float64) time.Duration {
	if n <= 0 {
		return defaultTimeout
	}
	return time.Duration(min(n, maxTimeout.Seconds()) * float64(time.Second))
}

func pollInterval(milliseconds float64) time.Duration {
	if milliseconds <= 0 {
		return defaultPoll
	}
	interval := time.Duration(min(milliseconds, float64(maxTimeout.Milliseconds())) * float64(time.Millisecond))
	return max(interval, minPoll)
}

// status asks for one run. It fails with a restError.
func (s *Server) status(ctx context.Context, id string) (*runStatus, error) {
	body, err := s.call(ctx, "get_run", runArguments{RunID: id, IncludeOutput: true})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Status            string
			Output            json.RawMessage
			QueuedAt, EndedAt string
			Function          struct{ ID string }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	run := answer.Data
	return &runStatus{
		RunID: id, Status: run.Status, Function: run.Function.ID, Output: run.Output, QueuedAt: run.QueuedAt, EndedAt: run.EndedAt,
	}, nil
}

// poll looks until all runs have ended or time is over. A run that is not
// known may be known soon: the history is written after the fact.
func (s *Server) poll(ctx context.Context, ids []string, timeout, interval time.Duration) pollResult {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	runs := make([]*runStatus, len(ids))
	completed := waitUntil(ctx, interval, func() bool {
		all := true
		for i, id := range ids {
			if runs[i] == nil || !runs[i].ended() {
				runs[i] = s.statusOrReason(ctx, id)
			}
			all = all && runs[i].ended()
		}
		return all
	})
	message := "All runs have ended."
	if !completed {
		message = "Some runs had not ended when the time was over."
	}
	return pollResult{Runs: runs, Completed: completed, Message: message}
}

func (s *Server) statusOrReason(ctx context.Context, id string) *runStatus {
	run, err := s.status(ctx, id)
	if err != nil {
		return &runStatus{RunID: id, Status: statusUnknown, Error: err.Error()}
	}
	return run
}

// waitUntil looks at once and then at intervals, until done or ctx ends.
func waitUntil(ctx context.Context, interval time.Duration, done func() bool) bool {
	if done() {
		return true
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
			if done() {
				return true
			}
		}
	}
}

// runsOf asks for the ids of the runs of an event. It fails with a restError.
func (s *Server) runsOf(ctx context.Context, event string) ([]string, error) {
	body, err := s.call(ctx, "get_event_runs", eventRunsArguments{EventID: event})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data []struct{ ID string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	ids := make([]string, len(answer.Data))
	for i, run := range answer.Data {
		ids[i] = run.ID
	}
	return ids, nil
}

// awaitRuns waits until an event has enough runs or ctx ends. An answer that is
// an error may be another one soon: the history is written after the fact.
func (s *Server) awaitRuns(ctx context.Context, event string, enough int) (ids []string) {
	waitUntil(ctx, 2*minPoll, func() bool {
		if found, err := s.runsOf(ctx, event); err == nil {
			ids = found
		}
		return len(ids) >= enough
	})
	return ids
}
