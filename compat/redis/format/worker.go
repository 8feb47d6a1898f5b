package format

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Connection is a worker's connection, a value of {<environment>}:conns
// (redis-state §17).
type Connection struct {
	ID            ulid.ULID         `json:"id"`
	GatewayID     ulid.ULID         `json:"gateway_id"`
	InstanceID    string            `json:"instance_id"`
	Groups        map[string]string `json:"all_worker_groups,omitempty"`    // app name → group hash
	SyncedGroups  map[string]string `json:"synced_worker_groups,omitempty"` // app id → group hash
	Status        int               `json:"status,omitempty"`
	LastHeartbeat json.RawMessage   `json:"last_heartbeat_at,omitempty"` // {"seconds","nanos"}
	SDKLanguage   string            `json:"sdk_language,omitempty"`
	SDKVersion    string            `json:"sdk_version,omitempty"`
	Attributes    json.RawMessage   `json:"attributes,omitempty"`
	Rest          Rest
}

// The statuses of a connection.
const (
	ConnectionConnected     = 0
	ConnectionReady         = 1
	ConnectionDraining      = 2
	ConnectionDisconnecting = 3
	ConnectionDisconnected  = 4
)

// WorkerGroup are the workers that offer the same, a value of {<environment>}:groups.
type WorkerGroup struct {
	AccountID     uuid.UUID  `json:"acct_id"`
	EnvironmentID uuid.UUID  `json:"env_id"`
	AppID         *uuid.UUID `json:"app_id,omitempty"` // once it is synced
	AppName       string     `json:"app_name"`
	AppVersion    string     `json:"app_version,omitempty"`
	SDKLanguage   string     `json:"sdk_lang"`
	SDKVersion    string     `json:"sdk_version"`
	SDKPlatform   string     `json:"sdk_platform"`
	Functions     []string   `json:"fns"` // slugs
	SyncID        *uuid.UUID `json:"sync_id,omitempty"`
	Hash          string     `json:"hash"`
	Observations  string     `json:"feature_observations_hash,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	Rest          Rest
}

// RequestLease says who waits for the answer of a request to a worker, a value
// of {<environment>}:request-lease:<request>.
type RequestLease struct {
	LeaseID    ulid.ULID  `json:"leaseID"`
	ExecutorIP string     `json:"executorIP"`
	Previous   *ulid.ULID `json:"prevLeaseID,omitempty"`
	WorkerID   string     `json:"workerID,omitempty"`
	Rest       Rest
}

// Gateway is a process that workers connect to, a value of {connect}:gateways.
type Gateway struct {
	ID            ulid.ULID `json:"id"`
	Status        string    `json:"status"`
	LastHeartbeat int64     `json:"last_heartbeat"` // milliseconds
	Hostname      string    `json:"hostname"`
	IP            string    `json:"ip"`
	Rest          Rest
}
