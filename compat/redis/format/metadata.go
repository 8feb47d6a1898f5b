package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Metadata is the hash {estate:<run>}:metadata:<run> (redis-state §5.1).
type Metadata struct {
	ID             Identifier
	Status         int // StatusScheduled during the whole life of a run
	Version        int // of the format: 1
	RequestVersion int // RequestUndecided at first
	StartedAt      int64
	ForcePlan      bool
	HasAI          bool
	Debugger       bool
	RunType        string
	SpanID         string
	Context        Context
	EventSize      int64
	StateSize      int64
	StepCount      int64
	MetadataSize   int64
	// DeferSize is the size of what deferred functions are called with; the
	// field comes into being with the first of them.
	DeferSize int64
	Endpoint  *Endpoint         // nil but for runs that an app began
	Rest      map[string]string // fields that are not known here
}

// Statuses as the metadata have them; see state.Status for all.
const (
	StatusCancelled = 3
	StatusScheduled = 5
)

// RequestUndecided is the request version of a run whose SDK has not spoken.
const RequestUndecided = -1

// The fields of the metadata that scripts change.
const (
	FieldID             = "id"
	FieldStatus         = "status"
	FieldRequestVersion = "rv"
	FieldStartedAt      = "sat"
	FieldForcePlan      = "die"
	FieldHasAI          = "hasAI"
	FieldStateSize      = "state_size"
	FieldStepCount      = "step_count"
	FieldMetadataSize   = "metadata_size"
	FieldDeferSize      = "defer_input_size"
	FieldEndpoint       = "jetstep_endpoint"
)

// Endpoint is what the original has no place for of a run that its app began, a
// durable endpoint's: it passes over fields that it does not know.
type Endpoint struct {
	SDK      string `json:"sdk,omitempty"`
	Attempts int    `json:"attempts"`           // of each step
	AsyncAt  int64  `json:"async_at,omitempty"` // since when it goes on by itself, in milliseconds
}

// Context is what the metadata's field "ctx" has (redis-state §5.4).
type Context struct {
	Trace        json.RawMessage `json:"sys.trace,omitempty"`
	Debounce     *bool           `json:"__debounce,omitempty"`
	EventMap     string          `json:"__evtmap,omitempty"` // JSON: external id → internal id
	FunctionSlug string          `json:"__fnslug,omitempty"`
	Cron         string          `json:"__cron,omitempty"`
	URL          string          `json:"url,omitempty"`
	DebugSession string          `json:"__debug_session_id,omitempty"`
	DebugRun     string          `json:"__debug_run_id,omitempty"`
	Rest         Rest
}

// ErrNoRun is the metadata of a run that is not there.
var ErrNoRun = errors.New("no metadata of a run")

// DecodeMetadata reads the hash. Only "id" and "status" must be there.
func DecodeMetadata(key string, hash map[string]string) (*Metadata, error) {
	if hash[FieldID] == "" {
		return nil, fmt.Errorf("%s: %w", key, ErrNoRun)
	}
	r := fields{key: key, left: maps.Clone(hash)}
	m := &Metadata{RequestVersion: RequestUndecided}
	decode(&r, FieldID, &m.ID)
	if _, ok := r.left[FieldStatus]; !ok {
		r.fail(FieldStatus, errors.New("missing"))
	}
	decode(&r, "ctx", &m.Context)
	number(&r, FieldStatus, &m.Status)
	number(&r, "version", &m.Version)
	number(&r, FieldRequestVersion, &m.RequestVersion)
	number(&r, FieldStartedAt, &m.StartedAt)
	number(&r, "event_size", &m.EventSize)
	number(&r, FieldStateSize, &m.StateSize)
	number(&r, FieldStepCount, &m.StepCount)
	number(&r, FieldMetadataSize, &m.MetadataSize)
	number(&r, FieldDeferSize, &m.DeferSize)
	m.ForcePlan, m.HasAI, m.Debugger = r.flag(FieldForcePlan), r.flag(FieldHasAI), r.flag("debugger")
	m.RunType, m.SpanID = r.take("runType"), r.take("sid")
	if r.left[FieldEndpoint] != "" {
		m.Endpoint = new(Endpoint)
		decode(&r, FieldEndpoint, m.Endpoint)
	}
	if len(r.left) > 0 {
		m.Rest = r.left
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

// Encode writes the hash.
func (m *Metadata) Encode() (map[string]string, error) {
	hash := map[string]string{}
	maps.Copy(hash, m.Rest)
	for field, v := range map[string]any{FieldID: m.ID, "ctx": m.Context} {
		text, err := Encode(v)
		if err != nil {
			return nil, fmt.Errorf("metadata of run %s: %w", m.ID.RunID, err)
		}
		hash[field] = text
	}
	for field, n := range map[string]int64{
		FieldStatus: int64(m.Status), "version": int64(m.Version), FieldRequestVersion: int64(m.RequestVersion),
		FieldStartedAt: m.StartedAt, "event_size": m.EventSize, FieldStateSize: m.StateSize,
		FieldStepCount: m.StepCount, FieldMetadataSize: m.MetadataSize,
	} {
		hash[field] = strconv.FormatInt(n, 10)
	}
	if m.DeferSize != 0 {
		hash[FieldDeferSize] = strconv.FormatInt(m.DeferSize, 10)
	}
	for field, set := range map[string]bool{FieldForcePlan: m.ForcePlan, FieldHasAI: m.HasAI, "debugger": m.Debugger} {
		hash[field] = strconv.FormatBool(set)
	}
	hash["runType"], hash["sid"] = m.RunType, m.SpanID
	if m.Endpoint != nil {
		text, err := m.Endpoint.Encode()
		if err != nil {
			return nil, fmt.Errorf("metadata of run %s: %w", m.ID.RunID, err)
		}
		hash[FieldEndpoint] = text
	}
	return hash, nil
}

// Encode writes the field.
func (e *Endpoint) Encode() (string, error) { return Encode(*e) }

// fields reads a hash field by field; err is the first error.
type fields struct {
	key  string
	left map[string]string
	err  error
}

func (r *fields) take(field string) string {
	text := r.left[field]
	delete(r.left, field)
	return text
}

func (r *fields) fail(field string, err error) {
	if r.err == nil {
		r.err = valueError(Place{r.key, field}, err)
	}
}

// flag is true for "true" and "1" only.
func (r *fields) flag(field string) bool {
	text := r.take(field)
	return text == "true" || text == "1"
}

// decode reads a field that may be absent, empty or null.
func decode[T Identifier | Context | Endpoint](r *fields, field string, into *T) {
	text := r.take(field)
	if text == "" || text == "null" {
		return
	}
	v, err := Decode[T](Place{r.key, field}, text)
	if err != nil && r.err == nil {
		r.err = err
	}
	*into = v
}

// number reads a field that may be absent or empty; a fraction of zero is
// dropped.
func number[T int | int64](r *fields, field string, into *T) {
	text := strings.TrimSpace(r.take(field))
	if text == "" {
		return
	}
	n, err := parseInt(text)
	if err != nil {
		r.fail(field, err)
		return
	}
	*into = T(n)
}
