package command_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/command"
	"jetstep/bus"
	"jetstep/function"
	"jetstep/history/view/viewtest"
	"jetstep/state"
)

const root = "../.."

// unknownID is of no run and no event, and so old that none is waited for.
var unknownID = ulid.MustParse("01JQDAE4RQF8MBCR55T5AK4KXR")

var captured = time.Date(2026, 11, 25, 23, 20, 27, 0, time.UTC)

// engine remembers what it was told to start.
type engine struct {
	live    map[ulid.ULID]*state.Run
	started []state.Start
	keys    []string
	failing error
}

func (e *engine) Load(_ context.Context, id ulid.ULID) (*state.Run, error) {
	if run, ok := e.live[id]; ok {
		return run, nil
	}
	return nil, state.ErrRunNotFound
}

func (e *engine) Cancel(_ context.Context, id ulid.ULID) error {
	if e.failing != nil {
		return e.failing
	}
	if _, ok := e.live[id]; !ok {
		return state.ErrRunNotFound
	}
	delete(e.live, id)
	return nil
}

func (e *engine) NewRunID(fn uuid.UUID) (ulid.ULID, error) { return e.NewRunIDFor(fn, "") }

func (e *engine) NewRunIDFor(_ uuid.UUID, key string) (ulid.ULID, error) {
	e.keys = append(e.keys, key)
	return ulid.Make(), nil
}

func (e *engine) StartRun(_ context.Context, start state.Start) error {
	if e.failing != nil {
		return e.failing
	}
	e.started = append(e.started, start)
	return nil
}

func (e *engine) StartNow(ctx context.Context, start state.Start) (ulid.ULID, error) {
	return start.RunID, e.StartRun(ctx, start)
}

// registry has the captured functions.
type registry struct {
	catalog *bus.Catalog
	paused  map[uuid.UUID]bool
}

func (r *registry) Catalog() *bus.Catalog { return r.catalog }

func (r *registry) SetPaused(_ context.Context, fn uuid.UUID, paused bool) error {
	r.paused[fn] = paused
	return nil
}

// events remembers the bodies that it was sent.
type events struct {
	bodies  []string
	failing error
}

var eventID = ulid.MustParse("01M8AG737TEFVHWD5J2H43JKJE")

func (e *events) Send(_ context.Context, event []byte) (ulid.ULID, error) {
	e.bodies = append(e.bodies, string(event))
	return eventID, e.failing
}

func (e *events) Invoke(_ context.Context, slug string, body []byte, _ string) (ulid.ULID, error) {
	return e.Send(context.Background(), append([]byte(slug+" "), body...))
}

func (e *events) InvokeToDebug(ctx context.Context, slug string, debug state.Debug, body []byte) (ulid.ULID, error) {
	return e.Invoke(ctx, slug, append(body, " of "+debug.Session.String()+" "+debug.Run.String()...), "")
}

func (e *events) InvokeRun(_ context.Context, slug string, run ulid.ULID, body []byte) (*bus.Event, error) {
	e.bodies = append(e.bodies, slug+" "+run.String()+" "+string(body))
	return &bus.Event{InternalID: eventID, ID: "key", Name: "inngest/function.invoked", Data: []byte(`{"n":1.0}`), TS: 5}, e.failing
}

// apps remembers what it was asked.
type apps struct{ asked []string }

func (a *apps) Add(_ context.Context, url string) (uuid.UUID, error) {
	a.asked = append(a.asked, "add "+url)
	return uuid.UUID{1}, nil
}

func (a *apps) Move(_ context.Context, app uuid.UUID, url string) error {
	a.asked = append(a.asked, "move "+app.String()+" "+url)
	return nil
}

func (a *apps) Archive(_ context.Context, app uuid.UUID) error {
	a.asked = append(a.asked, "archive "+app.String())
	return nil
}

func (a *apps) Discovered(url string) bool { return url == "http://found" }

type fixture struct {
	*command.Commands
	engine   *engine
	registry *registry
	history  *viewtest.Store
	events   *events
	apps     *apps
}

// newFixture has the captured history, whose functions are all registered.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		engine: &engine{live: map[ulid.ULID]*state.Run{}}, history: viewtest.Load(t, root), events: &events{}, apps: &apps{},
		registry: &registry{paused: map[uuid.UUID]bool{}},
	}
	app := &function.App{ID: uuid.UUID{1}, Name: "fixture-app"}
	for _, row := range f.history.FunctionRows {
		app.Functions = append(app.Functions, function.Function{ID: row.ID, Slug: row.Slug, Name: row.Name})
	}
	f.registry.catalog = bus.NewCatalog([]*function.App{app})
	f.Commands = command.New(command.Config{
		Engine: f.engine, Registry: f.registry, Reader: f.history, Events: f.events, Apps: f.apps, Now: func() time.Time { return captured },
	})
	return f
}

// latestRun is the last run of a captured function.
func (f *fixture) latestRun(t *testing.T, name string) ulid.ULID {
	t.Helper()
	var found ulid.ULID
	for _, fn := range f.history.FunctionRows {
		for _, run := range f.history.RunRows {
			if fn.Slug == "fixture-app-"+name && run.FunctionID == fn.ID && run.ID.Compare(found) > 0 {
				found = run.ID
			}
		}
	}
	require.NotZero(t, found, name)
	return found
}

// forget unregisters all functions.
func (f *fixture) forget() { f.registry.catalog = bus.NewCatalog(nil) }
