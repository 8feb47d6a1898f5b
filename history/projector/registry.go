package projector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"jetstep/bus"
	"jetstep/function"
	"jetstep/history/database"
)

// registryEvery is how soon a change of the registry is in the database.
const registryEvery = 200 * time.Millisecond

// followRegistry writes apps and functions as they are registered, until ctx
// ends. Those that were registered in another life of the database stay.
func (p *Projector) followRegistry(ctx context.Context) {
	written := map[uuid.UUID]database.Records{}
	var done *bus.Catalog
	for attempt := 0; ctx.Err() == nil; {
		catalog := p.config.Functions.Catalog()
		if catalog == done {
			pause(ctx, registryEvery)
			continue
		}
		if err := p.writeCatalog(ctx, catalog, written); err != nil {
			if attempt == 0 && ctx.Err() == nil {
				p.log.Warn("apps are not in the database yet; it is tried again", "error", err)
			}
			pause(ctx, backOff(attempt))
			attempt++
			continue
		}
		done, attempt = catalog, 0
	}
}

// writeCatalog writes the apps that are not in the database as they are.
func (p *Projector) writeCatalog(ctx context.Context, catalog *bus.Catalog, written map[uuid.UUID]database.Records) error {
	apps := slices.SortedFunc(catalog.All(), compareApps)
	for _, app := range apps {
		rows, err := appRows(app)
		if err != nil {
			p.log.Error("app cannot be projected", "app_id", app.ID, "error", err)
			continue
		}
		if have, ok := written[app.ID]; ok && sameRows(have, rows) {
			continue
		}
		err = p.config.Store.Write(ctx, &rows)
		if database.Refused(err) {
			p.metrics.poison.WithLabelValues("registry").Inc()
			p.log.Error("app refused by the database; its row is left as it was", "app_id", app.ID, "error", err)
			err = nil
		}
		if err != nil {
			return err
		}
		written[app.ID] = rows
	}
	return nil
}

// compareApps puts archived apps first: they may give up a name to another one.
func compareApps(a, b *function.App) int {
	if archived := a.ArchivedAt.IsZero(); archived != b.ArchivedAt.IsZero() {
		if archived {
			return 1
		}
		return -1
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// appRows are the rows of an app and its functions (database §5).
func appRows(app *function.App) (database.Records, error) {
	metadata := app.Metadata
	if len(metadata) == 0 {
		metadata = json.RawMessage(`{}`)
	}
	rows := database.Records{Apps: []database.App{{
		ID: app.ID, Name: app.Name, SDKLanguage: app.SDKLanguage, SDKVersion: app.SDKVersion, Framework: app.Framework,
		Metadata: metadata, Error: app.Error, Checksum: app.Checksum, CreatedAt: app.CreatedAt, ArchivedAt: app.ArchivedAt,
		URL: app.URL, Method: app.Method, AppVersion: app.AppVersion,
	}}}
	for _, list := range []struct {
		functions []function.Function
		archived  bool
	}{{app.Archived, true}, {app.Functions, !app.ArchivedAt.IsZero()}} {
		for i := range list.functions {
			row, err := functionRow(app, &list.functions[i], list.archived)
			if err != nil {
				return rows, err
			}
			rows.Functions = append(rows.Functions, row)
		}
	}
	return rows, nil
}

func functionRow(app *function.App, fn *function.Function, archived bool) (database.Function, error) {
	config, err := json.Marshal(fn)
	if err != nil {
		return database.Function{}, fmt.Errorf("function %s: %w", fn.Slug, err)
	}
	row := database.Function{ID: fn.ID, AppID: app.ID, Name: fn.Name, Slug: fn.Slug, Config: config, CreatedAt: app.CreatedAt}
	if archived {
		// When exactly is not kept: the sync that left the function out.
		row.ArchivedAt = app.SyncedAt
		if row.ArchivedAt.IsZero() {
			row.ArchivedAt = app.CreatedAt
		}
	}
	return row, nil
}

func sameRows(a, b database.Records) bool {
	same := func(x, y any) bool {
		left, errLeft := json.Marshal(x)
		right, errRight := json.Marshal(y)
		return errLeft == nil && errRight == nil && bytes.Equal(left, right)
	}
	return same(a.Apps, b.Apps) && same(a.Functions, b.Functions)
}
