package catalog

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"jetstep/function"
	"jetstep/history/database"
)

// Adopt takes apps and functions of the database into the registry which it does
// not know: an existing database's schedules and triggers then work, with the ids
// that its runs have, before any app registers again. What the registry knows
// stays as it is. It must have succeeded once before the registry is written.
func (c *Catalog) Adopt(ctx context.Context) error {
	stored, err := c.read(ctx)
	if err != nil {
		return fmt.Errorf("adopting apps: %w", err)
	}
	functions := map[uuid.UUID][]database.Function{}
	for _, row := range stored.functions {
		functions[row.AppID] = append(functions[row.AppID], row)
	}
	for _, row := range stored.apps {
		known := c.config.Registry.Catalog()
		if _, ok := known.App(row.ID); ok {
			continue
		}
		if _, ok := known.AppByName(row.Name); ok {
			continue // it was registered while the database was out of reach
		}
		app, unreadable := fromRows(row, functions[row.ID])
		for _, fn := range unreadable {
			c.log.Warn("function of the database is not taken over: its config cannot be read", "function_id", fn.Slug, "app", row.Name)
		}
		_, err := c.config.Registry.Update(ctx, row.ID, func(old *function.App) (*function.App, error) {
			if old != nil {
				return nil, nil
			}
			return &app, nil
		})
		if err != nil {
			return fmt.Errorf("adopting app %s: %w", row.Name, err)
		}
		c.log.Info("app of the database taken over", "app", row.Name, "app_id", row.ID, "functions", len(app.Functions))
	}
	c.adopted.Store(true)
	return nil
}

// fromRows is the app that rows are of.
func fromRows(row database.App, functions []database.Function) (app function.App, unreadable []database.Function) {
	app = function.App{
		ID: row.ID, Name: row.Name, URL: row.URL, SDKLanguage: row.SDKLanguage, SDKVersion: row.SDKVersion, Framework: row.Framework,
		AppVersion: row.AppVersion, Method: row.Method, Error: row.Error, Checksum: row.Checksum, Metadata: observations(row.Metadata),
		CreatedAt: row.CreatedAt, SyncedAt: row.CreatedAt, ArchivedAt: row.ArchivedAt, Functions: []function.Function{},
	}
	for _, f := range functions {
		fn, err := parse(&f)
		if err != nil || len(fn.Triggers) == 0 && fn.URI() == "" {
			unreadable = append(unreadable, f)
			app.Checksum = "" // so that the next registration counts
			continue
		}
		if f.ArchivedAt.IsZero() && app.ArchivedAt.IsZero() {
			app.Functions = append(app.Functions, fn)
		} else {
			app.Archived = append(app.Archived, fn)
		}
	}
	return app, unreadable
}
