package function

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Registration is the body of POST /fn/register (sdk-protocol §5.2). Field
// names match in any case, unknown fields are ignored.
type Registration struct {
	V              string       `json:"v"`
	URL            string       `json:"url"` // as sent, see App
	DeployType     string       `json:"deployType"`
	SDK            string       `json:"sdk"` // "<language>:v<version>"
	Framework      string       `json:"framework"`
	AppName        string       `json:"appName"`
	AppVersion     string       `json:"appVersion"`
	Configs        []Config     `json:"functions"`
	IdempotencyKey string       `json:"idempotencyKey"`
	Capabilities   Capabilities `json:"capabilities"`
	// FeatureObservations is kept as sent; it never makes a sync fail.
	FeatureObservations json.RawMessage `json:"featureObservations"`

	functions json.RawMessage // Configs as sent, without insignificant space
}

// Capabilities are versions of what an SDK can do, "" for what it cannot.
type Capabilities struct {
	InBandSync string `json:"in_band_sync"`
	TrustProbe string `json:"trust_probe"`
	Connect    string `json:"connect"`
}

// deployConnect is the deploy type of an app reached over WebSocket.
const deployConnect = "connect"

// RequestError is a registration that cannot be read; its text is meant for
// the SDK.
type RequestError struct {
	Err error
}

// Error has the text of sdk-protocol §5.3, item 3.
func (e *RequestError) Error() string { return "Invalid request: " + e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

// ParseRegistration reads the body of POST /fn/register. The error is a
// *RequestError.
func ParseRegistration(body []byte) (*Registration, error) {
	r := &Registration{}
	if err := json.Unmarshal(body, r); err != nil {
		// Clients know the texts of flow-control §5.4, which name the type.
		if mistyped := (*json.UnmarshalTypeError)(nil); errors.As(err, &mistyped) && mistyped.Struct == "Config" {
			mistyped.Struct = "SDKFunction"
		}
		return nil, &RequestError{Err: err}
	}
	var raw struct {
		Functions json.RawMessage `json:"functions"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, &RequestError{Err: err}
	}
	var compact bytes.Buffer
	if len(raw.Functions) > 0 {
		if err := json.Compact(&compact, raw.Functions); err != nil {
			return nil, &RequestError{Err: err}
		}
	}
	r.functions = compact.Bytes()
	return r, nil
}

// Language is the SDK's language, such as "js".
func (r *Registration) Language() string {
	language, _, _ := strings.Cut(r.SDK, ":")
	return language
}

// Version is the SDK's version, such as "v4.24.0".
func (r *Registration) Version() string {
	_, version, _ := strings.Cut(r.SDK, ":")
	return version
}

// IsConnect tells whether the app connects itself over WebSocket.
func (r *Registration) IsConnect() bool {
	return r.DeployType == deployConnect
}

// Checksum identifies what was registered: env and platform are the values of
// X-Inngest-Env and X-Inngest-Platform. An equal checksum means that a sync
// changes nothing (sdk-protocol §5.4).
func (r *Registration) Checksum(env, platform string) string {
	type headers struct {
		Env      string `json:"env"`
		Platform string `json:"platform"`
	}
	functions := r.functions
	if len(functions) == 0 {
		functions = json.RawMessage("null")
	}
	data, err := json.Marshal(struct {
		V              string          `json:"v"`
		URL            string          `json:"url"`
		DeployType     string          `json:"deployType"`
		SDK            string          `json:"sdk"`
		Framework      string          `json:"framework"`
		AppName        string          `json:"appName"`
		AppVersion     string          `json:"appVersion,omitempty"`
		Functions      json.RawMessage `json:"functions"`
		Headers        headers         `json:"headers"`
		IdempotencyKey string          `json:"idempotencyKey"`
		Capabilities   Capabilities    `json:"capabilities"`
	}{
		r.V, r.URL, r.DeployType, r.SDK, r.Framework, r.AppName, r.AppVersion, functions,
		headers{env, platform}, r.IdempotencyKey, r.Capabilities,
	})
	if err != nil {
		panic("function: checksum: " + err.Error()) // strings and valid JSON only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// App is the registered app without its functions: env and platform are as for
// Checksum, now is when it synced. An app that exists keeps its id and its
// creation time, see Sync.
func (r *Registration) App(env, platform string, now time.Time) App {
	app := App{
		ID:          AppID(r.AppName),
		Name:        r.AppName,
		URL:         NormalizeURL(r.URL, false),
		SDKLanguage: r.Language(),
		SDKVersion:  r.Version(),
		Framework:   r.Framework,
		Platform:    platform,
		AppVersion:  r.AppVersion,
		Method:      MethodServe,
		Checksum:    r.Checksum(env, platform),
		CreatedAt:   now,
		SyncedAt:    now,
		Functions:   []Function{},
	}
	if r.IsConnect() {
		app.Method = MethodConnect
	}
	if json.Valid(r.FeatureObservations) {
		app.Metadata = r.FeatureObservations
	}
	return app
}

// ErrorNoFunctions is an app's error while it has no function; it syncs
// nevertheless (sdk-protocol §5.3).
const ErrorNoFunctions = "No functions registered within your app"

// Functions converts what the SDK sent to the stored form, with ids of a first
// registration and version 1, and validates it. The error is a
// *ValidationError with the problems of all functions.
func (r *Registration) Functions() ([]Function, error) {
	functions := make([]Function, 0, len(r.Configs))
	var problems []Problem
	for i := range r.Configs {
		f, found := r.Configs[i].function()
		found = append(found, f.problems()...)
		for j := range found {
			found[j].Function = f.Slug
		}
		problems = append(problems, found...)
		functions = append(functions, f)
	}
	if len(problems) > 0 {
		return nil, &ValidationError{Problems: problems}
	}
	return functions, nil
}
