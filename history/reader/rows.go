package reader

import (
	"slices"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/database"
	"jetstep/history/trace"
	"jetstep/history/view"
)

func sortByID[T any](list []T, id func(T) ulid.ULID) {
	slices.SortFunc(list, func(a, b T) int { return id(a).Compare(id(b)) })
}

// optional is nil for the zero value.
func optional[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// ToApp is a row of apps as the APIs show it.
func ToApp(a database.App) view.App {
	return view.App{
		ID: a.ID, Name: a.Name, SDKLanguage: a.SDKLanguage, SDKVersion: a.SDKVersion, Framework: optional(a.Framework),
		Error: optional(a.Error), Checksum: a.Checksum, URL: a.URL, Method: a.Method, Version: a.AppVersion,
		Metadata: a.Metadata, CreatedAt: a.CreatedAt, Archived: !a.ArchivedAt.IsZero(), ArchivedAt: a.ArchivedAt,
	}
}

// ToFunction is a row of functions as the APIs show it.
func ToFunction(f database.Function) view.Function {
	return view.Function{ID: f.ID, AppID: f.AppID, Name: f.Name, Slug: f.Slug, Config: f.Config, Archived: !f.ArchivedAt.IsZero()}
}

func toEvent(e database.Event) view.Event {
	return view.Event{
		InternalID: e.InternalID, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, Version: optional(e.Version),
		Timestamp: e.Timestamp, ReceivedAt: e.ReceivedAt,
	}
}

func toRow(s database.Span) trace.Row {
	return trace.Row{
		SpanID: s.SpanID, TraceID: s.TraceID, ParentID: s.ParentSpanID, DynamicID: s.DynamicSpanID, Name: s.Name,
		Start: s.StartTime, End: s.EndTime, Attributes: s.Attributes, Output: s.Output, Input: s.Input,
		RunID: s.RunID.String(), AppID: s.AppID.String(), FunctionID: s.FunctionID.String(),
		DebugRunID: s.DebugRunID, DebugSessionID: s.DebugSessionID,
	}
}

func toHistoryItem(h database.HistoryEntry) view.HistoryItem {
	item := view.HistoryItem{
		ID: h.ID, CreatedAt: h.CreatedAt, FunctionVersion: h.FunctionVersion, Type: h.Type, Attempt: h.Attempt,
		StepName: optional(h.StepName), StepType: optional(h.StepType), URL: optional(h.URL), Cancel: h.CancelRequest,
		Sleep: h.Sleep, WaitForEvent: h.WaitForEvent, WaitResult: h.WaitResult, Invoke: h.InvokeFunction,
		InvokeResult: h.InvokeResult, Result: h.Result,
	}
	if id, err := uuid.Parse(h.GroupID); err == nil {
		item.GroupID = &id
	}
	return item
}

// statuses are the states of runs in the words of the API.
var statuses = map[database.RunStatus]view.Status{
	database.Scheduled: view.Queued, database.Running: view.Running, database.Completed: view.Completed,
	database.Failed: view.Failed, database.Cancelled: view.Cancelled, database.Skipped: view.Skipped,
}

// codes are those of trace_runs (database §9); 50 is a run that was too large.
var codes = map[int]view.Status{
	50: view.Failed, 100: view.Queued, 200: view.Running, 300: view.Completed, 400: view.Failed, 500: view.Cancelled, 600: view.Skipped,
}

// fromSpans is a run as the index of spans has it.
func fromSpans(r database.Run) view.Run {
	return view.Run{
		ID: r.ID, AppID: r.AppID, FunctionID: r.FunctionID, TraceID: r.TraceID, QueuedAt: r.StartedAt, StartedAt: r.StartedAt,
		EndedAt: r.EndedAt, Status: statuses[r.Status], TriggerIDs: r.EventIDs, BatchID: optional(r.BatchID), Cron: optional(r.Cron),
		Deferred: r.Deferred,
	}
}

// fromTraceRun is a run as trace_runs has it.
func fromTraceRun(r database.TraceRun) view.Run {
	status, ok := codes[r.Status]
	if !ok {
		status = view.Running
	}
	return view.Run{
		ID: r.RunID, AppID: r.AppID, FunctionID: r.FunctionID, TraceID: r.TraceID, QueuedAt: r.QueuedAt, StartedAt: r.StartedAt,
		EndedAt: r.EndedAt, Status: status, TriggerIDs: r.TriggerIDs, BatchID: optional(r.BatchID), Cron: optional(r.Cron),
		Output: r.Output, HasAI: r.HasAI,
	}
}

// connectionStatuses are numbered as in the database (database §14).
var connectionStatuses = []string{"CONNECTED", "READY", "DRAINING", "DISCONNECTING", "DISCONNECTED"}

func toWorker(w database.WorkerConnection) view.Worker {
	worker := view.Worker{
		ID: w.ID, GatewayID: w.GatewayID, InstanceID: w.InstanceID, IP: w.WorkerIP, MaxConcurrency: w.MaxWorkerConcurrency,
		AppName: w.AppName, AppID: optional(w.AppID), ConnectedAt: w.ConnectedAt, LastHeartbeatAt: w.LastHeartbeatAt,
		DisconnectedAt: w.DisconnectedAt, DisconnectReason: optional(w.DisconnectReason), GroupHash: w.GroupHash,
		SDKLanguage: w.SDKLanguage, SDKVersion: w.SDKVersion, SDKPlatform: w.SDKPlatform, SyncID: optional(w.SyncID),
		AppVersion: optional(w.AppVersion), FunctionCount: w.FunctionCount, CPUCores: w.CPUCores, MemoryBytes: w.MemoryBytes, OS: w.OS,
	}
	if w.Status >= 0 && w.Status < len(connectionStatuses) {
		worker.Status = connectionStatuses[w.Status]
	}
	return worker
}
