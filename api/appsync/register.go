package appsync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"jetstep/function"
)

// The headers of registrations and pings (sdk-protocol §2).
const (
	headerKind         = "X-Inngest-Server-Kind"
	headerExpectedKind = "X-Inngest-Expected-Server-Kind"
	headerSDK          = "X-Inngest-Sdk"
	headerEnv          = "X-Inngest-Env"
	headerPlatform     = "X-Inngest-Platform"
	headerSyncKind     = "X-Inngest-Sync-Kind"
)

// Response is the answer to a registration that was taken.
type Response struct {
	OK       bool      `json:"ok"`
	Modified bool      `json:"modified"` // false when nothing had changed
	SyncID   uuid.UUID `json:"sync_id"`  // random
	AppID    uuid.UUID `json:"app_id"`
}

// Refusal is the answer to a registration that was not taken. Its texts are
// sdk-protocol §5.3's.
type Refusal struct {
	Status  int
	Code    string // of the coded ones
	Message string
	// Bare means that the body is {"error":Message} and no more.
	Bare bool
}

func (r *Refusal) Error() string { return r.Message }

// Register takes the body of POST /fn/register. The error is a *Refusal for
// the SDK, or the registry's.
func (s *Syncer) Register(ctx context.Context, header http.Header, body []byte) (Response, error) {
	if expected := header.Get(headerExpectedKind); expected != "" && expected != s.cfg.Kind {
		return Response{}, &Refusal{Status: http.StatusBadRequest, Bare: true,
			Message: fmt.Sprintf("Expected server kind %s, got %s", s.cfg.Kind, expected)}
	}
	registration, err := function.ParseRegistration(body)
	if err != nil {
		return Response{}, &Refusal{Status: http.StatusBadRequest, Bare: true, Message: err.Error()}
	}
	switch {
	case registration.AppName == "":
		return Response{}, &Refusal{Status: http.StatusBadRequest, Message: "App ID required"}
	case hasZero(body):
		return Response{}, &Refusal{Status: http.StatusBadRequest, Bare: true, Message: "Invalid request: names and URLs cannot have zero bytes"}
	}
	return s.register(ctx, plan(registration, header.Get(headerEnv), header.Get(headerPlatform), time.Now()))
}

// hasZero tells whether a string in JSON has a zero byte, which nobody means and
// PostgreSQL does not store.
func hasZero(text []byte) bool {
	const escape = `\u0000`
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(escape))
		if i < 0 {
			return false
		}
		at := from + i
		backslashes := 0
		for at-backslashes > 0 && text[at-backslashes-1] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return true
		}
		from = at + len(escape)
	}
}

// register stores what was decided about a registration.
func (s *Syncer) register(ctx context.Context, decided decision) (Response, error) {
	var before *function.App
	var change change
	app, err := s.cfg.Registry.Update(ctx, s.appID(&decided.app), func(old *function.App) (*function.App, error) {
		if before = nil; isActive(old) {
			before = old
		}
		change = decided.against(old)
		return change.store, nil
	})
	if err != nil {
		return Response{}, fmt.Errorf("register app %s: %w", decided.app.Name, err)
	}
	// Only now: a placeholder that goes first would be missed if this fails.
	if err := s.dropPlaceholders(ctx, decided.app.URL); err != nil {
		return Response{}, fmt.Errorf("register app %s: %w", decided.app.Name, err)
	}
	s.registered(decided.app.URL)
	s.logRegistration(before, app, &decided, change)
	if decided.refusal != nil {
		return Response{}, decided.refusal
	}
	return Response{OK: true, Modified: change.modified, SyncID: uuid.New(), AppID: app.ID}, nil
}

// appID is under which id an app is stored: that of the active app of its
// name, else of a placeholder at its URL that somehow has functions, else of a
// removed app of its name, which had another id in a database that was taken
// over, else its own.
func (s *Syncer) appID(app *function.App) uuid.UUID {
	catalog := s.cfg.Registry.Catalog()
	if known, ok := catalog.AppByName(app.Name); ok {
		return known.ID
	}
	for _, placeholder := range catalog.AppsByURL(app.URL) {
		if placeholder.Name == "" && len(placeholder.Functions) > 0 {
			return placeholder.ID
		}
	}
	if _, ok := catalog.App(app.ID); ok {
		return app.ID
	}
	for former := range catalog.All() {
		if former.Name == app.Name {
			return former.ID
		}
	}
	return app.ID
}

// decision is what a registration comes to, apart from what is stored already.
type decision struct {
	app       function.App // with Error when it is refused
	functions []function.Function
	refusal   *Refusal
	invalid   *function.ValidationError
}

// plan checks a registration. A refused one still says which app it was, and
// the app shows why.
func plan(registration *function.Registration, env, platform string, now time.Time) decision {
	d := decision{app: registration.App(env, platform, now)}
	d.app.URL = normalURL(d.app.URL)
	if message, blocked := function.BlockedSDK(d.app.SDKLanguage, d.app.SDKVersion); blocked {
		d.app.Error = function.ErrorSDKBlocked
		d.refusal = &Refusal{Status: http.StatusBadRequest, Code: function.ErrorSDKBlocked, Message: message}
		return d
	}
	functions, err := registration.Functions()
	if err != nil {
		d.app.Error = err.Error()
		d.refusal = &Refusal{Status: http.StatusBadRequest, Message: "At least one function is invalid"}
		errors.As(err, &d.invalid)
		return d
	}
	d.functions = functions
	return d
}

// change is what a registration does to the stored app.
type change struct {
	store    *function.App // nil for nothing
	modified bool          // what the SDK is told
}

// against compares with what is stored; old may be nil or archived.
func (d *decision) against(old *function.App) change {
	same := isActive(old) && old.Checksum == d.app.Checksum
	if d.refusal == nil && same && old.Error == "" {
		return change{store: withMetadata(old, d.app.Metadata)}
	}
	app := d.app
	if d.refusal != nil {
		keepIdentity(&app, old)
	} else {
		app = function.Sync(old, d.app, d.functions)
	}
	if same && app.Error != "" && old.Error == app.Error {
		return change{modified: true} // it stays in error for the same reason
	}
	return change{store: &app, modified: true}
}

// withMetadata is old with other metadata, nil if they are no other.
func withMetadata(old *function.App, metadata []byte) *function.App {
	if len(metadata) == 0 || bytes.Equal(old.Metadata, metadata) {
		return nil
	}
	app := *old
	app.Metadata = metadata
	return &app
}

// keepIdentity leaves a refused app the id and functions it had.
func keepIdentity(app *function.App, old *function.App) {
	if old != nil {
		app.ID, app.CreatedAt = old.ID, old.CreatedAt
		app.Functions, app.Archived = old.Functions, old.Archived
	}
}
