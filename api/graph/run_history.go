package graph

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// storedResult is the column result of the older history (database §8).
type storedResult struct {
	Duration  int     `json:"response_duration_ms"`
	ErrorCode *string `json:"error_code"`
	Framework *string `json:"framework"`
	Platform  *string `json:"platform"`
	Language  string  `json:"sdk_language"`
	Version   string  `json:"sdk_version"`
	Size      int     `json:"response_size_bytes"`
	Output    string  `json:"output"`
}

type storedWait struct {
	EventName  string    `json:"event_name"`
	Expression *string   `json:"expression"`
	Timeout    time.Time `json:"timeout"`
}

type storedWaitResult struct {
	EventID *ulid.ULID `json:"event_id"`
	RunID   *ulid.ULID `json:"run_id"`
	Timeout bool       `json:"timeout"`
}

type storedInvoke struct {
	CorrelationID string    `json:"correlation_id"`
	EventID       ulid.ULID `json:"event_id"`
	FunctionID    string    `json:"function_id"`
	Timeout       time.Time `json:"timeout"`
}

type storedCancel struct {
	EventID    *ulid.ULID
	Expression *string
	UserID     *uuid.UUID
}

type storedSleep struct {
	Until time.Time `json:"until"`
}

// reading collects the first error of several columns.
type reading struct{ err error }

// column reads a JSON column; nil for the text null, which means nothing.
func column[T any](r *reading, raw json.RawMessage) *T {
	if r.err != nil || len(raw) == 0 {
		return nil
	}
	var value *T
	r.err = json.Unmarshal(raw, &value)
	return value
}

func toHistoryItem(row view.HistoryItem) (*generated.RunHistoryItem, error) {
	item := &generated.RunHistoryItem{
		Attempt: row.Attempt, CreatedAt: row.CreatedAt.UTC(), FunctionVersion: row.FunctionVersion, GroupID: row.GroupID,
		ID: row.ID, StepName: row.StepName, Type: generated.HistoryType(row.Type), URL: row.URL,
	}
	if row.StepType != nil {
		item.StepType = textPtr(generated.HistoryStepType(*row.StepType))
	}
	var r reading
	if c := column[storedCancel](&r, row.Cancel); c != nil {
		item.Cancel = &generated.RunHistoryCancel{EventID: c.EventID, Expression: c.Expression, UserID: c.UserID}
	}
	if c := column[storedSleep](&r, row.Sleep); c != nil {
		item.Sleep = &generated.RunHistorySleep{Until: c.Until}
	}
	if c := column[storedWait](&r, row.WaitForEvent); c != nil {
		item.WaitForEvent = &generated.RunHistoryWaitForEvent{EventName: c.EventName, Expression: c.Expression, Timeout: c.Timeout}
	}
	if c := column[storedWaitResult](&r, row.WaitResult); c != nil {
		item.WaitResult = &generated.RunHistoryWaitResult{EventID: c.EventID, Timeout: c.Timeout}
	}
	if c := column[storedInvoke](&r, row.Invoke); c != nil {
		item.InvokeFunction = &generated.RunHistoryInvokeFunction{
			EventID: c.EventID, FunctionID: c.FunctionID, CorrelationID: c.CorrelationID, Timeout: c.Timeout,
		}
	}
	if c := column[storedWaitResult](&r, row.InvokeResult); c != nil {
		item.InvokeFunctionResult = &generated.RunHistoryInvokeFunctionResult{EventID: c.EventID, RunID: c.RunID, Timeout: c.Timeout}
	}
	if c := column[storedResult](&r, row.Result); c != nil {
		item.Result = &generated.RunHistoryResult{
			DurationMs: c.Duration, ErrorCode: c.ErrorCode, Framework: c.Framework, Platform: c.Platform,
			SdkLanguage: c.Language, SdkVersion: c.Version, SizeBytes: c.Size,
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading history item %s: %w", row.ID, r.err)
	}
	return item, nil
}
