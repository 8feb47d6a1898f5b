// Package function owns what a function and an app are: their configuration
// as SDKs register it and as it is stored, its validation, and the
// deterministic ids derived from names and URLs.
//
// It guarantees that a Function which passed Validate can be scheduled and
// called. It does no I/O and keeps no state.
package function

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// The fixed tenant of a self-hosted installation (sdk-protocol §1).
var (
	AccountID     = uuid.MustParse("00000000-0000-4000-a000-000000000000")
	EnvironmentID = uuid.MustParse("00000000-0000-4000-b000-000000000000")
)

// App is one registered (or placeholder) application and its functions. It is
// the unit of registration: one value in the registry holds an app with all
// its functions, so that a sync is atomic.
type App struct {
	ID   uuid.UUID `json:"id"`
	Name string    `json:"name"` // empty for a placeholder added by URL only
	URL  string    `json:"url"`  // normalised, see NormalizeURL

	SDKLanguage string `json:"sdk_language,omitempty"`
	SDKVersion  string `json:"sdk_version,omitempty"`
	Framework   string `json:"framework,omitempty"`
	Platform    string `json:"platform,omitempty"`
	AppVersion  string `json:"app_version,omitempty"`
	Method      string `json:"method"` // MethodServe, MethodConnect or MethodAPI

	// Error is why the app cannot be used or synced now ("unreachable",
	// "No functions registered within your app", …); empty when healthy.
	Error    string          `json:"error,omitempty"`
	Checksum string          `json:"checksum,omitempty"`
	Metadata json.RawMessage `json:"metadata,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	SyncedAt  time.Time `json:"synced_at,omitzero"`
	// ArchivedAt is set on a removed app: the registry never deletes a key.
	ArchivedAt time.Time `json:"archived_at,omitzero"`

	Functions []Function `json:"functions"`
	// Archived holds functions the app no longer has, so that their ids
	// survive a function that comes back and runs in flight can end.
	Archived []Function `json:"archived,omitempty"`
}

// How an app is reached.
const (
	MethodServe   = "serve"
	MethodConnect = "connect"
	MethodAPI     = "api"
)

// Function is one function's configuration in the stored form of
// sdk-protocol §6.3; marshalling it gives that JSON in that key order.
type Function struct {
	ConfigVersion int          `json:"cv,omitempty"`
	ID            uuid.UUID    `json:"id"`
	Version       int          `json:"fv"`
	Name          string       `json:"name"`
	Slug          string       `json:"slug"`
	Priority      *Priority    `json:"priority,omitempty"`
	Timeouts      *Timeouts    `json:"timeouts,omitempty"`
	Concurrency   *Concurrency `json:"concurrency,omitempty"`
	Debounce      *Debounce    `json:"debounce,omitempty"`
	Checkpoint    *Checkpoint  `json:"checkpoint,omitempty"`
	Triggers      []Trigger    `json:"triggers"`
	EventBatch    *EventBatch  `json:"batchEvents,omitempty"`
	RateLimit     *RateLimit   `json:"rateLimit,omitempty"`
	Throttle      *Throttle    `json:"throttle,omitempty"`
	Cancel        []Cancel     `json:"cancel,omitempty"`
	Singleton     *Singleton   `json:"singleton,omitempty"`
	Steps         []Step       `json:"steps,omitempty"`
	Driver        *Driver      `json:"driver,omitempty"`
}

// DefaultRetries is the number of retries of a step whose SDK named none.
const DefaultRetries = 4

// MaxRetries is the largest accepted number of retries; more is cut.
const MaxRetries = 20

// Retries is the number of retries (not attempts) of each step.
func (f *Function) Retries() int {
	if len(f.Steps) == 0 || f.Steps[0].Retries == nil {
		return DefaultRetries
	}
	return min(max(*f.Steps[0].Retries, 0), MaxRetries)
}

// URI is where the function's SDK is called, "" if it has no step.
func (f *Function) URI() string {
	if f.Driver != nil && f.Driver.URI != "" {
		return f.Driver.URI
	}
	if len(f.Steps) == 0 {
		return ""
	}
	return f.Steps[0].URI
}

// Step is the one step that stands for the function's endpoint.
type Step struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	URI     string `json:"uri"`
	Retries *int   `json:"retries,omitempty"`
}

// Trigger starts a function: an event (with an optional CEL expression) or a
// cron schedule (with an optional jitter).
type Trigger struct {
	Event      string `json:"event,omitempty"`
	Expression string `json:"expression,omitempty"`
	Cron       string `json:"cron,omitempty"`
	Jitter     string `json:"jitter,omitempty"`
}

// Cancel ends runs when an event arrives.
type Cancel struct {
	Event   string `json:"event"`
	Timeout string `json:"timeout,omitempty"`
	If      string `json:"if,omitempty"`
}

// Priority is an integer expression evaluated when a run is scheduled.
type Priority struct {
	Run string `json:"run,omitempty"`
}

// Timeouts cancel a run that has not started, or not finished, in time.
type Timeouts struct {
	Start  string `json:"start,omitempty"`
	Finish string `json:"finish,omitempty"`
}

// Debounce delays a run until its events pause.
type Debounce struct {
	Key     string `json:"key,omitempty"`
	Period  string `json:"period"`
	Timeout string `json:"timeout,omitempty"`
}

// Checkpoint is what an SDK says of its own checkpointing; informative only.
type Checkpoint struct {
	BatchSteps    int             `json:"batch_steps,omitempty"`
	BatchInterval json.RawMessage `json:"batch_interval,omitempty"`
	MaxRuntime    json.RawMessage `json:"max_runtime,omitempty"`
}

// EventBatch collects events for one run.
type EventBatch struct {
	Key     string `json:"key,omitempty"`
	MaxSize int    `json:"maxSize"`
	Timeout string `json:"timeout"`
	If      string `json:"if,omitempty"`
}

// RateLimit drops runs above a rate.
type RateLimit struct {
	Limit  uint   `json:"limit"`
	Period string `json:"period"`
	Key    string `json:"key,omitempty"`
}

// Throttle delays runs above a rate.
type Throttle struct {
	Burst  uint   `json:"burst"`
	Key    string `json:"key,omitempty"`
	Limit  uint   `json:"limit"`
	Period string `json:"period"`
}

// Singleton allows one run at a time per key.
type Singleton struct {
	Key  string `json:"key,omitempty"`
	Mode string `json:"mode"` // "skip" or "cancel"
}

// Driver overrides how a function is called (durable endpoints).
type Driver struct {
	URI      string            `json:"uri"`
	Metadata map[string]string `json:"metadata,omitempty"`
}
