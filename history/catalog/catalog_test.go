package catalog_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history/catalog"
	"jetstep/history/database"
	"jetstep/tests/harness"
)

// server is the PostgreSQL of all tests of the package.
var server harness.SharedPostgres

func TestMain(m *testing.M) { os.Exit(server.Run(m)) }

var quiet = slog.New(slog.DiscardHandler)

const patience = 30 * time.Second

// each runs a test against a database of either kind.
func each(t *testing.T, test func(*testing.T, *database.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, database.Options{Dir: t.TempDir(), Log: quiet}))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, database.Options{URI: postgres(t), Log: quiet}))
	})
}

func postgres(t *testing.T) string {
	url, err := server.NewDatabase(t.Context())
	require.NoError(t, err)
	return url
}

func open(t *testing.T, o database.Options) *database.Store {
	store, err := database.Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func openRegistry(t *testing.T) *bus.Registry {
	b, err := bus.Open(t.Context(), bus.Config{StoreDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b.Registry()
}

// run starts a catalog that ends with the test.
func run(t *testing.T, registry catalog.Registry, store catalog.Store) {
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { catalog.New(catalog.Config{Registry: registry, Store: store, Logger: quiet}).Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
}

var created = time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)

func fn(name string) function.Function {
	uri := "http://localhost:3000/api?fnId=shop-" + name + "&stepId=step"
	return function.Function{
		ID: function.FunctionID(name, uri), Version: 1, Name: name, Slug: "shop-" + name, Triggers: []function.Trigger{{Event: "shop/" + name}},
		Steps: []function.Step{{ID: "step", Name: "step", URI: uri}},
	}
}

func shop(functions ...function.Function) function.App {
	return function.App{
		ID: function.AppID("shop"), Name: "shop", URL: "http://localhost:3000/api", SDKLanguage: "js", SDKVersion: "v4.24.0", Framework: "express",
		Method: function.MethodServe, Checksum: "c1", Metadata: json.RawMessage(`{"a":1}`), AppVersion: "1", CreatedAt: created, SyncedAt: created,
		Functions: functions,
	}
}

func register(t *testing.T, registry *bus.Registry, app function.App) {
	t.Helper()
	_, err := registry.Update(t.Context(), app.ID, func(old *function.App) (*function.App, error) {
		if old != nil {
			synced := function.Sync(old, app, app.Functions)
			synced.ArchivedAt = app.ArchivedAt
			return &synced, nil
		}
		return &app, nil
	})
	require.NoError(t, err)
}

// eventually waits for what the rows should be.
func eventually(t *testing.T, store *database.Store, check func(apps []database.App, functions []database.Function) bool) (apps []database.App, functions []database.Function) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		apps, err = store.Apps(t.Context(), true)
		require.NoError(t, err)
		functions, err = store.Functions(t.Context(), true)
		require.NoError(t, err)
		return check(apps, functions)
	}, patience, 5*time.Millisecond)
	return apps, functions
}

func TestLifeOfAnApp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, store *database.Store) {
		registry := openRegistry(t)
		run(t, registry, store)

		register(t, registry, shop(fn("pay"), fn("ship")))
		apps, functions := eventually(t, store, func(apps []database.App, functions []database.Function) bool {
			return len(apps) == 1 && len(functions) == 2
		})
		require.Equal(t, database.App{
			ID: function.AppID("shop"), Name: "shop", SDKLanguage: "js", SDKVersion: "v4.24.0", Framework: "express",
			Metadata: json.RawMessage(`{"featureObservations":"{\"a\":1}"}`), Checksum: "c1", CreatedAt: created,
			URL: "http://localhost:3000/api", Method: "serve", AppVersion: "1",
		}, apps[0])
		require.Len(t, functions, 2)
		pay := fn("pay")
		config, err := json.Marshal(&pay)
		require.NoError(t, err)
		row, err := store.Function(t.Context(), pay.ID)
		require.NoError(t, err)
		require.Equal(t, database.Function{ID: pay.ID, AppID: apps[0].ID, Name: "pay", Slug: "shop-pay", Config: config, CreatedAt: created}, row)

		broken := shop(fn("pay"), fn("ship"))
		broken.Error = "unreachable"
		register(t, registry, broken)
		eventually(t, store, func(apps []database.App, _ []database.Function) bool { return apps[0].Error == "unreachable" })

		renamed := fn("pay")
		renamed.Name, renamed.Steps[0].URI = "Pay", "http://other/"
		renamed.ID = function.FunctionID(renamed.Name, renamed.URI())
		register(t, registry, shop(renamed)) // without ship
		_, functions = eventually(t, store, func(apps []database.App, functions []database.Function) bool {
			return apps[0].Error == "" && archived(functions, "shop-ship")
		})
		require.Len(t, functions, 2)
		row, err = store.Function(t.Context(), pay.ID)
		require.NoError(t, err)
		require.Equal(t, "pay", row.Name, "as of the first sync")
		require.Contains(t, string(row.Config), `"name":"Pay"`)
		require.Contains(t, string(row.Config), `"fv":3`)

		register(t, registry, shop(fn("pay"), fn("ship")))
		eventually(t, store, func(_ []database.App, functions []database.Function) bool { return !archived(functions, "shop-ship") })

		gone := shop(fn("pay"), fn("ship"))
		gone.ArchivedAt = created.Add(time.Hour)
		register(t, registry, gone)
		apps, _ = eventually(t, store, func(apps []database.App, functions []database.Function) bool {
			return !apps[0].ArchivedAt.IsZero() && archived(functions, "shop-ship") && archived(functions, "shop-pay")
		})
		require.Equal(t, created.Add(time.Hour), apps[0].ArchivedAt)
	})
}

func archived(functions []database.Function, slug string) bool {
	for _, f := range functions {
		if f.Slug == slug {
			return !f.ArchivedAt.IsZero()
		}
	}
	return false
}

// former is an app of the database, with ids of its own.
func former() *database.Records {
	app := database.App{
		ID: uuid.MustParse("aaaaaaaa-0000-4000-8000-000000000001"), Name: "shop", SDKLanguage: "js", SDKVersion: "v3.0.0", CreatedAt: created,
		Metadata: json.RawMessage(`{"featureObservations":"{\"a\":1}"}`), Checksum: "old", URL: "http://localhost:3000/api", Method: "serve",
	}
	pay, ship, broken := fn("pay"), fn("ship"), fn("broken")
	rows := &database.Records{Apps: []database.App{app}}
	for i, f := range []function.Function{pay, ship, broken} {
		config, _ := json.Marshal(&f) // of a constant
		row := database.Function{
			ID: uuid.MustParse(fmt.Sprintf("bbbbbbbb-0000-4000-8000-00000000000%d", i)), AppID: app.ID, Name: f.Name, Slug: f.Slug,
			Config: config, CreatedAt: created,
		}
		if f.Slug == ship.Slug {
			row.ArchivedAt = created
		}
		if f.Slug == broken.Slug {
			row.Config = json.RawMessage(`{"id":5}`)
		}
		rows.Functions = append(rows.Functions, row)
	}
	return rows
}

func TestAdoption(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, store *database.Store) {
		rows := former()
		require.NoError(t, store.Write(t.Context(), rows))
		registry := openRegistry(t)
		c := catalog.New(catalog.Config{Registry: registry, Store: store})
		require.NoError(t, c.Adopt(t.Context()))
		app, ok := registry.Catalog().AppByName("shop")
		require.True(t, ok)
		require.Equal(t, rows.Apps[0].ID, app.ID)
		require.JSONEq(t, `{"a":1}`, string(app.Metadata))
		require.Empty(t, app.Checksum, "not all of it could be read, so that it is to register again")
		triggered := registry.Catalog().Triggered("shop/pay")
		require.Len(t, triggered, 1)
		require.Equal(t, rows.Functions[0].ID, triggered[0].ID, "the id of the row counts")
		_, owner, ok := registry.Catalog().Executable(rows.Functions[1].ID)
		require.True(t, ok, "runs of a function that was removed can end")
		require.Equal(t, app.ID, owner)

		require.NoError(t, c.Adopt(t.Context()), "once more changes nothing")
		again, _ := registry.Catalog().AppByName("shop")
		require.Equal(t, app, again)

		// What registers keeps these ids.
		registered := shop(fn("pay"), fn("ship"))
		registered.ID = app.ID
		register(t, registry, registered)
		run(t, registry, store)
		_, functions := eventually(t, store, func(_ []database.App, functions []database.Function) bool { return !archived(functions, "shop-ship") })
		require.Len(t, functions, 3)
		require.True(t, archived(functions, "shop-broken"), "the app does not have it any more")
	})
}

// TestLateDatabase is about a database that was out of reach when its app
// registered: the registry's ids count then, since runs have them.
func TestLateDatabase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, store *database.Store) {
		rows := former()
		require.NoError(t, store.Write(t.Context(), rows))
		registry := openRegistry(t)
		register(t, registry, shop(fn("pay")))
		run(t, registry, store)
		eventually(t, store, func(apps []database.App, _ []database.Function) bool { return len(apps) == 2 })
		app, err := store.AppNamed(t.Context(), "shop")
		require.NoError(t, err)
		require.Equal(t, function.AppID("shop"), app.ID)
		old, err := store.App(t.Context(), rows.Apps[0].ID)
		require.NoError(t, err)
		require.Equal(t, "shop (id:aaaaaaaa-0000-4000-8000-000000000001)", old.Name)
		require.False(t, old.ArchivedAt.IsZero())
	})
}

// TestLateFunctions is the same where only a function has another id.
func TestLateFunctions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, store *database.Store) {
		rows := former()
		rows.Apps[0].ID = function.AppID("shop")
		for i := range rows.Functions {
			rows.Functions[i].AppID = function.AppID("shop")
		}
		require.NoError(t, store.Write(t.Context(), rows))
		registry := openRegistry(t)
		register(t, registry, shop(fn("pay")))
		run(t, registry, store)
		eventually(t, store, func(_ []database.App, functions []database.Function) bool { return len(functions) == 4 })
		active, err := store.FunctionWithSlug(t.Context(), function.AppID("shop"), "shop-pay")
		require.NoError(t, err)
		require.Equal(t, fn("pay").ID, active.ID)
	})
}

// downStore fails until it is up.
type downStore struct {
	*database.Store
	up    atomic.Bool
	tried atomic.Int64
}

func (s *downStore) Apps(ctx context.Context, archived bool) ([]database.App, error) {
	if s.tried.Add(1); !s.up.Load() {
		return nil, errors.New("out of reach")
	}
	return s.Store.Apps(ctx, archived)
}

func TestDatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	store := &downStore{Store: open(t, database.Options{Log: quiet})}
	registry := openRegistry(t)
	register(t, registry, shop(fn("pay")))
	require.ErrorContains(t, catalog.New(catalog.Config{Registry: registry, Store: store}).Adopt(t.Context()), "out of reach")
	run(t, registry, store)
	require.Eventually(t, func() bool { return store.tried.Load() > 2 }, patience, time.Millisecond)
	store.up.Store(true)
	eventually(t, store.Store, func(apps []database.App, functions []database.Function) bool {
		return len(apps) == 1 && len(functions) == 1
	})
}

// TestRowsThatAreRefused has an app whose name PostgreSQL has no room for.
func TestRowsThatAreRefused(t *testing.T) {
	t.Parallel()
	store := open(t, database.Options{URI: postgres(t), Log: quiet})
	registry := openRegistry(t)
	strange := shop(fn("pay"))
	strange.Name, strange.ID = "a\x00b", uuid.New()
	strange.Functions[0].ID, strange.Functions[0].Slug = uuid.New(), "a\x00b-pay"
	register(t, registry, strange)
	register(t, registry, shop(fn("pay")))
	run(t, registry, store)
	apps, functions := eventually(t, store, func(apps []database.App, functions []database.Function) bool {
		return len(apps) == 1 && len(functions) == 1
	})
	require.Equal(t, "shop", apps[0].Name)
	require.Equal(t, "shop-pay", functions[0].Slug)
}

// TestCapturedDatabase takes over the database of the original.
func TestCapturedDatabase(t *testing.T) {
	t.Parallel()
	url := postgres(t)
	db, err := sql.Open("pgx", url)
	require.NoError(t, err)
	for _, file := range []string{"schema.sql", "data.sql"} {
		text, err := os.ReadFile("../../tests/testdata/fixtures/postgres/" + file)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), string(text))
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	store := open(t, database.Options{URI: url, Log: quiet})
	before, functionsBefore := eventually(t, store, func([]database.App, []database.Function) bool { return true })

	registry := openRegistry(t)
	c := catalog.New(catalog.Config{Registry: registry, Store: store})
	require.NoError(t, c.Adopt(t.Context()))
	require.Len(t, registry.Catalog().Apps, 2)
	require.Len(t, registry.Catalog().Functions(), 23)
	require.Len(t, registry.Catalog().Crons(), 1)
	hello, ok := registry.Catalog().Lookup("fixture-app-hello")
	require.True(t, ok)
	require.Equal(t, "20be5504-9564-5440-b9c9-15d46067966b", hello.ID.String())

	// Writing the registry changes nothing that a sync would not.
	writes := &countingStore{Store: store}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		catalog.New(catalog.Config{Registry: registry, Store: writes}).Run(ctx)
	}()
	require.Eventually(t, func() bool { return writes.reads.Load() >= 2 }, patience, time.Millisecond, "adopted and compared")
	register(t, registry, shop(fn("pay")))
	after, functionsAfter := eventually(t, store, func(apps []database.App, _ []database.Function) bool { return len(apps) == 3 })
	stop()
	<-done
	for _, row := range before {
		require.True(t, slices.ContainsFunc(after, func(r database.App) bool { return reflect.DeepEqual(r, row) }), row.Name)
	}
	for _, row := range functionsBefore {
		require.True(t, slices.ContainsFunc(functionsAfter, func(r database.Function) bool { return reflect.DeepEqual(r, row) }), row.Slug)
	}
	require.EqualValues(t, 1, writes.writes.Load(), "only of the new app")
}

type countingStore struct {
	*database.Store
	reads, writes atomic.Int64
}

func (s *countingStore) Functions(ctx context.Context, archived bool) ([]database.Function, error) {
	defer s.reads.Add(1)
	return s.Store.Functions(ctx, archived)
}

func (s *countingStore) Write(ctx context.Context, r *database.Records) error {
	defer s.writes.Add(1)
	return s.Store.Write(ctx, r)
}
