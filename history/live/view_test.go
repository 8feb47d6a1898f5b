package live

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history"
	stored "jetstep/history/database"
	"jetstep/history/reader"
	"jetstep/history/view"
	"jetstep/state"
)

// catalogOf is a registry that does not change by itself.
type catalogOf struct{ catalog *bus.Catalog }

func (c *catalogOf) Catalog() *bus.Catalog { return c.catalog }

type viewFixture struct {
	*View
	engine   *engine
	overlay  *Overlay
	store    *stored.Store
	registry *catalogOf
}

func newViewFixture(t *testing.T, apps ...*function.App) viewFixture {
	store, err := stored.Open(t.Context(), stored.Options{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	f := viewFixture{
		engine: &engine{runs: map[ulid.ULID]*state.Run{}, executing: map[ulid.ULID]bool{}}, store: store,
		registry: &catalogOf{bus.NewCatalog(apps)},
	}
	f.overlay = New(Config{Past: reader.NewOlder(store), Engine: f.engine, Events: stream{}})
	f.View = NewView(reader.New(store), f.overlay, f.registry)
	return f
}

// write stores a run that has been scheduled.
func (f viewFixture) write(t *testing.T, run history.Run) {
	t.Helper()
	records := &stored.Records{
		Runs: []stored.FunctionRun{{RunID: run.ID, StartedAt: run.QueuedAt, FunctionID: run.FunctionID, EventID: run.EventID(), TriggerType: "event"}},
		TraceRuns: []stored.TraceRun{{
			RunID: run.ID, FunctionID: run.FunctionID, QueuedAt: run.QueuedAt, Status: 100, TriggerIDs: run.EventIDs,
		}},
		Spans: []stored.Span{{
			SpanID: "a", TraceID: "b", ParentSpanID: "0000000000000000", DynamicSpanID: "a", Name: "executor.run", StartTime: run.QueuedAt,
			EndTime: run.QueuedAt, RunID: run.ID, FunctionID: run.FunctionID, EventIDs: run.EventIDs, Status: "Queued", Attributes: json.RawMessage(`{}`),
		}},
	}
	require.NoError(t, f.store.Write(t.Context(), records))
}

func (f viewFixture) run(t *testing.T, id ulid.ULID) view.Run {
	t.Helper()
	run, err := f.Run(t.Context(), id)
	require.NoError(t, err)
	return run
}

func TestViewOfARunBeforeTheDatabaseHasIt(t *testing.T) {
	t.Parallel()
	fn := function.Function{ID: uuid.New(), Slug: "shop-pay"}
	app := &function.App{ID: uuid.New(), Name: "shop", Functions: []function.Function{fn}}
	f, run := newViewFixture(t, app), scheduled()
	run.FunctionID, run.Cron = fn.ID, "* * * * *"
	_, err := f.Run(t.Context(), run.ID)
	require.ErrorIs(t, err, view.ErrNotFound)

	f.overlay.RunScheduled(run)
	shown := f.run(t, run.ID)
	require.Equal(t, view.Queued, shown.Status)
	require.Equal(t, app.ID, shown.AppID)
	require.Equal(t, run.EventIDs, shown.TriggerIDs)
	require.Equal(t, "* * * * *", *shown.Cron)
	require.Zero(t, shown.StartedAt)
	require.NotEmpty(t, shown.TraceID)
	found, err := f.RunsOfEvents(t.Context(), run.EventIDs)
	require.NoError(t, err)
	require.Equal(t, map[ulid.ULID][]view.Run{run.EventID(): {shown}}, found)

	f.overlay.RunFinished(run.ID, state.Failed, json.RawMessage(`{"message":"x"}`), now.Add(time.Second))
	shown = f.run(t, run.ID)
	require.Equal(t, view.Failed, shown.Status)
	require.Equal(t, now.Add(time.Second), shown.EndedAt)

	f.overlay.cfg.Engine = silent{}
	_, err = f.Run(t.Context(), ulid.Make())
	require.ErrorIs(t, err, view.ErrUnavailable)
}

func TestViewOfARunThatTheDatabaseHas(t *testing.T) {
	t.Parallel()
	f, run := newViewFixture(t), scheduled()
	f.write(t, run)
	require.Equal(t, view.Queued, f.run(t, run.ID).Status)

	f.engine.executing[run.ID] = true
	shown := f.run(t, run.ID)
	require.Equal(t, view.Running, shown.Status, "its first call is being made")
	require.Equal(t, now, shown.StartedAt, "since then")

	f.overlay.RunScheduled(run)
	found, err := f.RunsOfEvents(t.Context(), run.EventIDs)
	require.NoError(t, err)
	require.Len(t, found[run.EventID()], 1, "once")
	require.Equal(t, view.Running, found[run.EventID()][0].Status)

	f.overlay.RunFinished(run.ID, state.Completed, json.RawMessage(`1`), now.Add(time.Second))
	page, err := f.Runs(t.Context(), view.RunQuery{Limit: 5})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Equal(t, view.Completed, page[0].Status)
	require.Nil(t, page[0].Output, "as before and after")
	page, err = f.Runs(t.Context(), view.RunQuery{Limit: 5, RunFilter: view.RunFilter{Source: view.FromRuns, Until: now.Add(time.Hour)}})
	require.NoError(t, err)
	require.Equal(t, json.RawMessage(`1`), page[0].Output)
	page, err = f.Runs(t.Context(), view.RunQuery{Limit: 5, RunFilter: view.RunFilter{Statuses: []view.Status{view.Queued}}})
	require.NoError(t, err)
	require.Equal(t, view.Queued, page[0].Status, "what was asked for")
}

func TestViewOfTheRegistry(t *testing.T) {
	t.Parallel()
	known := &function.App{
		ID: uuid.New(), Name: "shop", CreatedAt: now.Add(time.Hour), Functions: []function.Function{{ID: uuid.New(), Slug: "shop-pay"}},
		Archived: []function.Function{{ID: uuid.New(), Slug: "shop-old"}},
	}
	removed := &function.App{ID: uuid.New(), Name: "gone", ArchivedAt: now, CreatedAt: now.Add(time.Minute)}
	f := newViewFixture(t, known, removed)
	foreign := stored.App{ID: uuid.New(), Name: "foreign", CreatedAt: now, Metadata: json.RawMessage(`{}`)}
	require.NoError(t, f.store.Write(t.Context(), &stored.Records{
		Apps: []stored.App{foreign, {ID: known.ID, Name: "shop", Error: "unreachable", Metadata: json.RawMessage(`{}`), CreatedAt: now}},
		Functions: []stored.Function{
			{ID: known.Functions[0].ID, AppID: known.ID, Slug: "shop-pay", Config: json.RawMessage(`{}`), CreatedAt: now},
			{ID: uuid.New(), AppID: known.ID, Slug: "shop-unknown", Config: json.RawMessage(`{}`), CreatedAt: now},
			{ID: uuid.New(), AppID: foreign.ID, Slug: "foreign-a", Config: json.RawMessage(`{}`), CreatedAt: now},
		},
	}))
	apps, err := f.Apps(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"foreign", "gone", "shop"}, []string{apps[0].Name, apps[1].Name, apps[2].Name}, "by age")
	require.Nil(t, apps[2].Error, "as it is registered now")
	require.True(t, apps[1].Archived)

	functions, err := f.Functions(t.Context())
	require.NoError(t, err)
	archived := map[string]bool{}
	for _, fn := range functions {
		archived[fn.Slug] = fn.Archived
	}
	require.Equal(t, map[string]bool{"shop-pay": false, "shop-old": true, "shop-unknown": true, "foreign-a": false}, archived)

	f.registry.catalog = bus.NewCatalog([]*function.App{{ID: known.ID, Name: "renamed"}})
	apps, err = f.Apps(t.Context())
	require.NoError(t, err)
	require.Contains(t, []string{apps[0].Name, apps[1].Name}, "renamed", "a change is seen at once")
}

func TestViewOfADatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	store, err := stored.New(stored.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	v := NewView(reader.New(store), New(Config{}), &catalogOf{bus.NewCatalog(nil)})
	for name, ask := range map[string]func(context.Context) error{
		"apps":      func(ctx context.Context) error { _, err := v.Apps(ctx); return err },
		"functions": func(ctx context.Context) error { _, err := v.Functions(ctx); return err },
		"run":       func(ctx context.Context) error { _, err := v.Run(ctx, ulid.Make()); return err },
		"runs":      func(ctx context.Context) error { _, err := v.Runs(ctx, view.RunQuery{Limit: 1}); return err },
		"events":    func(ctx context.Context) error { _, err := v.RunsOfEvents(ctx, []ulid.ULID{ulid.Make()}); return err },
	} {
		require.ErrorIs(t, ask(t.Context()), view.ErrUnavailable, name)
	}
}
