package database

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// WorkerConnection is a row of worker_connections: one connection and one of its
// apps (database §14).
type WorkerConnection struct {
	AccountID, WorkspaceID               uuid.UUID
	AppName                              string
	AppID                                uuid.UUID // zero while the app has not been synced
	ID, GatewayID                        ulid.ULID
	InstanceID, WorkerIP                 string
	Status                               int
	MaxWorkerConcurrency                 int64
	ConnectedAt, RecordedAt, InsertedAt  time.Time // ms
	LastHeartbeatAt, DisconnectedAt      time.Time // ms; zero for never
	DisconnectReason                     string
	GroupHash                            string // hex
	SDKLanguage, SDKVersion, SDKPlatform string
	SyncID                               uuid.UUID
	AppVersion                           string
	FunctionCount, CPUCores              int
	MemoryBytes                          int64
	OS                                   string
}

const connectionColumns = `account_id, workspace_id, app_name, app_id, id, gateway_id, instance_id, worker_ip, status,
	max_worker_concurrency, connected_at, recorded_at, inserted_at, last_heartbeat_at, disconnected_at, disconnect_reason,
	group_hash, sdk_lang, sdk_version, sdk_platform, sync_id, app_version, function_count, cpu_cores, mem_bytes, os`

var workerConnections = &table[WorkerConnection]{
	name: "worker_connections", columns: connectionColumns,
	conflict: `ON CONFLICT (id, app_name) DO UPDATE SET ` + replaced(connectionColumns),
	bind: func(enc encoding, w *WorkerConnection, row []any) []any {
		return append(row,
			w.AccountID.String(), w.WorkspaceID.String(), w.AppName, enc.uuidOrNull(w.AppID), w.ID.Bytes(), w.GatewayID.Bytes(),
			w.InstanceID, w.WorkerIP, w.Status, w.MaxWorkerConcurrency, unixMilli(w.ConnectedAt), unixMilli(w.RecordedAt),
			unixMilli(w.InsertedAt), milliOrNull(w.LastHeartbeatAt), milliOrNull(w.DisconnectedAt), orNull(w.DisconnectReason),
			[]byte(w.GroupHash), w.SDKLanguage, w.SDKVersion, w.SDKPlatform, enc.uuidOrNull(w.SyncID), orNull(w.AppVersion),
			w.FunctionCount, w.CPUCores, w.MemoryBytes, w.OS,
		)
	},
}

// replaced sets every column to what was to be inserted.
func replaced(columns string) string {
	var parts []string
	for column := range strings.SplitSeq(columns, ",") {
		column = strings.TrimSpace(column)
		parts = append(parts, column+" = excluded."+column)
	}
	return strings.Join(parts, ", ")
}

func milliOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// SaveConnections writes connections, replacing those with the same id and app.
func (s *Store) SaveConnections(ctx context.Context, list []WorkerConnection) error {
	err := s.transact(ctx, func(tx *transaction) error { return insert(ctx, tx, workerConnections, list) })
	if err != nil {
		return fmt.Errorf("saving connections of workers: %w", err)
	}
	return nil
}

// Connections lists the connections made in [from, until], the latest first.
func (s *Store) Connections(ctx context.Context, from, until time.Time) ([]WorkerConnection, error) {
	return collect(ctx, s, "connections", `SELECT `+connectionColumns+` FROM worker_connections
		WHERE connected_at >= ? AND connected_at <= ? ORDER BY connected_at DESC, id, app_name`,
		[]any{from.UnixMilli(), until.UnixMilli()}, scanConnection)
}

// Connection lists the rows of a connection, one for each of its apps.
func (s *Store) Connection(ctx context.Context, id ulid.ULID) ([]WorkerConnection, error) {
	return collect(ctx, s, "connection", `SELECT `+connectionColumns+` FROM worker_connections WHERE id = ? ORDER BY app_name`,
		[]any{id.Bytes()}, scanConnection)
}

func scanConnection(row scanner, w *WorkerConnection) error {
	var connected, recorded, inserted int64
	var heartbeat, disconnected sql.NullInt64
	err := row.Scan(uuidOf{&w.AccountID}, uuidOf{&w.WorkspaceID}, &w.AppName, uuidOf{&w.AppID}, ulidOf{&w.ID}, ulidOf{&w.GatewayID},
		&w.InstanceID, &w.WorkerIP, &w.Status, &w.MaxWorkerConcurrency, &connected, &recorded, &inserted, &heartbeat, &disconnected,
		textOf{&w.DisconnectReason}, textOf{&w.GroupHash}, &w.SDKLanguage, &w.SDKVersion, &w.SDKPlatform, uuidOf{&w.SyncID},
		textOf{&w.AppVersion}, &w.FunctionCount, &w.CPUCores, &w.MemoryBytes, &w.OS)
	w.ConnectedAt, w.RecordedAt, w.InsertedAt = milliTime(connected), milliTime(recorded), milliTime(inserted)
	w.LastHeartbeatAt, w.DisconnectedAt = milliTime(heartbeat.Int64), milliTime(disconnected.Int64)
	return err
}
