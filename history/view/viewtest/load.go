// Package viewtest is a read model in memory over the captured database, for
// tests of what reads it. It owns a plain reference of how lists are filtered,
// sorted and paged, and is only for tests.
package viewtest

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
	"jetstep/history/trace/tracetest"
	"jetstep/history/view"
)

// Store answers as a database with the captured rows would. Its fields may be
// changed before it is used.
type Store struct {
	AppRows      []view.App
	FunctionRows []view.Function
	EventRows    []view.Event
	RunRows      []view.Run // of trace_runs
	SpanRows     []trace.Row
	HistoryRows  map[ulid.ULID][]view.HistoryItem
	WorkerRows   []view.Worker
}

// Load reads the captured database; root is the path to the root of the module.
func Load(t tracetest.TB, root string) *Store {
	t.Helper()
	s := &Store{HistoryRows: map[ulid.ULID][]view.HistoryItem{}, SpanRows: tracetest.Rows(t, root)}
	tracetest.Table(t, root, "apps", func(r appRow) { s.AppRows = append(s.AppRows, r.view()) })
	tracetest.Table(t, root, "functions", func(r functionRow) { s.FunctionRows = append(s.FunctionRows, r.view()) })
	tracetest.Table(t, root, "events", func(r eventRow) { s.EventRows = append(s.EventRows, r.view(t)) })
	tracetest.Table(t, root, "trace_runs", func(r runRow) { s.RunRows = append(s.RunRows, r.view(t)) })
	tracetest.Table(t, root, "history", func(r historyRow) {
		run := toULID(t, r.RunID)
		s.HistoryRows[run] = append(s.HistoryRows[run], r.view(t))
	})
	tracetest.Table(t, root, "worker_connections", func(r workerRow) { s.WorkerRows = append(s.WorkerRows, r.view(t)) })
	return s
}

// clock is a time without a zone.
type clock time.Time

func (c *clock) UnmarshalJSON(raw []byte) error {
	at, err := time.Parse("2006-01-02T15:04:05", strings.Trim(string(raw), `"`))
	*c = clock(at)
	return err
}

func toBytes(t tracetest.TB, text string) []byte {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, `\x`))
	require.NoError(t, err)
	return raw
}

func toULID(t tracetest.TB, text string) ulid.ULID {
	var id ulid.ULID
	require.NoError(t, id.UnmarshalBinary(toBytes(t, text)))
	return id
}

func millis(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

type appRow struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	Language  string    `json:"sdk_language"`
	Version   string    `json:"sdk_version"`
	Framework *string   `json:"framework"`
	Metadata  string    `json:"metadata"`
	Error     *string   `json:"error"`
	Checksum  string    `json:"checksum"`
	CreatedAt clock     `json:"created_at"`
	Archived  *clock    `json:"archived_at"`
	URL       string    `json:"url"`
	Method    string    `json:"method"`
	App       string    `json:"app_version"`
}

func (r appRow) view() view.App {
	return view.App{
		ID: r.ID, Name: r.Name, SDKLanguage: r.Language, SDKVersion: r.Version, Framework: r.Framework, Error: r.Error,
		Checksum: r.Checksum, URL: r.URL, Method: r.Method, Version: r.App, Metadata: json.RawMessage(r.Metadata),
		CreatedAt: time.Time(r.CreatedAt), Archived: r.Archived != nil,
	}
}

type functionRow struct {
	ID       uuid.UUID `json:"id"`
	AppID    uuid.UUID `json:"app_id"`
	Name     string    `json:"name"`
	Slug     string    `json:"slug"`
	Config   string    `json:"config"`
	Archived *clock    `json:"archived_at"`
}

func (r functionRow) view() view.Function {
	return view.Function{ID: r.ID, AppID: r.AppID, Name: r.Name, Slug: r.Slug, Config: json.RawMessage(r.Config), Archived: r.Archived != nil}
}

type eventRow struct {
	InternalID string  `json:"internal_id"`
	ReceivedAt clock   `json:"received_at"`
	ID         string  `json:"event_id"`
	Name       string  `json:"event_name"`
	Data       string  `json:"event_data"`
	User       string  `json:"event_user"`
	Version    *string `json:"event_v"`
	Time       clock   `json:"event_ts"`
}

func (r eventRow) view(t tracetest.TB) view.Event {
	return view.Event{
		InternalID: toULID(t, r.InternalID), ID: r.ID, Name: r.Name, Data: json.RawMessage(r.Data), User: json.RawMessage(r.User),
		Version: r.Version, Timestamp: time.Time(r.Time), ReceivedAt: time.Time(r.ReceivedAt),
	}
}

type runRow struct {
	ID         ulid.ULID `json:"run_id"`
	AppID      uuid.UUID `json:"app_id"`
	FunctionID uuid.UUID `json:"function_id"`
	TraceID    string    `json:"trace_id"`
	QueuedAt   int64     `json:"queued_at"`
	StartedAt  int64     `json:"started_at"`
	EndedAt    int64     `json:"ended_at"`
	Status     int       `json:"status"`
	TriggerIDs string    `json:"trigger_ids"`
	Output     *string   `json:"output"`
	BatchID    string    `json:"batch_id"`
	Cron       *string   `json:"cron_schedule"`
	HasAI      bool      `json:"has_ai"`
}

// statuses are the codes of trace_runs (database §9).
var statuses = map[int]view.Status{
	100: view.Queued, 200: view.Running, 300: view.Completed, 400: view.Failed, 500: view.Cancelled, 600: view.Skipped,
}

func (r runRow) view(t tracetest.TB) view.Run {
	run := view.Run{
		ID: r.ID, AppID: r.AppID, FunctionID: r.FunctionID, TraceID: string(toBytes(t, r.TraceID)), Status: statuses[r.Status],
		QueuedAt: millis(r.QueuedAt), StartedAt: millis(r.StartedAt), EndedAt: millis(r.EndedAt), Cron: r.Cron, HasAI: r.HasAI,
	}
	for id := range strings.SplitSeq(string(toBytes(t, r.TriggerIDs)), ",") {
		run.TriggerIDs = append(run.TriggerIDs, ulid.MustParse(id))
	}
	if r.Output != nil {
		run.Output = toBytes(t, *r.Output)
	}
	if batch := toULID(t, r.BatchID); !batch.IsZero() {
		run.BatchID = &batch
	}
	return run
}

type historyRow struct {
	ID           string     `json:"id"`
	RunID        string     `json:"run_id"`
	CreatedAt    clock      `json:"created_at"`
	Version      int        `json:"function_version"`
	GroupID      *uuid.UUID `json:"group_id"`
	Type         string     `json:"type"`
	Attempt      int        `json:"attempt"`
	StepName     *string    `json:"step_name"`
	StepType     *string    `json:"step_type"`
	URL          *string    `json:"url"`
	Cancel       string     `json:"cancel_request"`
	Sleep        string     `json:"sleep"`
	Wait         string     `json:"wait_for_event"`
	WaitResult   string     `json:"wait_result"`
	Invoke       string     `json:"invoke_function"`
	InvokeResult string     `json:"invoke_function_result"`
	Result       string     `json:"result"`
}

func (r historyRow) view(t tracetest.TB) view.HistoryItem {
	return view.HistoryItem{
		ID: toULID(t, r.ID), CreatedAt: time.Time(r.CreatedAt), FunctionVersion: r.Version, GroupID: r.GroupID, Type: r.Type,
		Attempt: r.Attempt, StepName: r.StepName, StepType: r.StepType, URL: r.URL, Cancel: json.RawMessage(r.Cancel),
		Sleep: json.RawMessage(r.Sleep), WaitForEvent: json.RawMessage(r.Wait), WaitResult: json.RawMessage(r.WaitResult),
		Invoke: json.RawMessage(r.Invoke), InvokeResult: json.RawMessage(r.InvokeResult), Result: json.RawMessage(r.Result),
	}
}

type workerRow struct {
	ID          string     `json:"id"`
	GatewayID   string     `json:"gateway_id"`
	InstanceID  string     `json:"instance_id"`
	IP          string     `json:"worker_ip"`
	Concurrency int64      `json:"max_worker_concurrency"`
	AppName     string     `json:"app_name"`
	AppID       *uuid.UUID `json:"app_id"`
	Connected   int64      `json:"connected_at"`
	Heartbeat   int64      `json:"last_heartbeat_at"`
	Reason      *string    `json:"disconnect_reason"`
	Status      int        `json:"status"`
	GroupHash   string     `json:"group_hash"`
	Language    string     `json:"sdk_lang"`
	Version     string     `json:"sdk_version"`
	Platform    string     `json:"sdk_platform"`
	SyncID      *uuid.UUID `json:"sync_id"`
	AppVersion  *string    `json:"app_version"`
	Functions   int        `json:"function_count"`
	Cores       int        `json:"cpu_cores"`
	Memory      int64      `json:"mem_bytes"`
	OS          string     `json:"os"`
}

// connectionStatuses are numbered as in the database.
var connectionStatuses = []string{"CONNECTED", "READY", "DRAINING", "DISCONNECTING", "DISCONNECTED"}

func (r workerRow) view(t tracetest.TB) view.Worker {
	return view.Worker{
		ID: toULID(t, r.ID), GatewayID: toULID(t, r.GatewayID), InstanceID: r.InstanceID, IP: r.IP, MaxConcurrency: r.Concurrency,
		AppName: r.AppName, AppID: r.AppID, ConnectedAt: millis(r.Connected), LastHeartbeatAt: millis(r.Heartbeat),
		DisconnectReason: r.Reason, Status: connectionStatuses[r.Status], GroupHash: string(toBytes(t, r.GroupHash)),
		SDKLanguage: r.Language, SDKVersion: r.Version, SDKPlatform: r.Platform, SyncID: r.SyncID, AppVersion: r.AppVersion,
		FunctionCount: r.Functions, CPUCores: r.Cores, MemoryBytes: r.Memory, OS: r.OS,
	}
}
