package database

import (
	"context"

	"github.com/google/uuid"
)

// Apps lists apps by age, archived ones only when asked for.
func (s *Store) Apps(ctx context.Context, archived bool) ([]App, error) {
	return collect(ctx, s, "apps", `SELECT `+appColumns+` FROM apps `+activeUnless(archived)+`ORDER BY created_at, id`, nil, scanApp)
}

// App finds an app, archived or not, or fails with [ErrNotFound].
func (s *Store) App(ctx context.Context, id uuid.UUID) (App, error) {
	return first(ctx, s, "app", `SELECT `+appColumns+` FROM apps WHERE id = ?`, []any{id.String()}, scanApp)
}

// AppNamed finds an app by its name, which is unique, or fails with [ErrNotFound].
func (s *Store) AppNamed(ctx context.Context, name string) (App, error) {
	return first(ctx, s, "app", `SELECT `+appColumns+` FROM apps WHERE name = ? AND name <> ''`, []any{name}, scanApp)
}

// Functions lists functions by age, archived ones only when asked for.
func (s *Store) Functions(ctx context.Context, archived bool) ([]Function, error) {
	return collect(ctx, s, "functions", `SELECT `+functionColumns+` FROM functions `+activeUnless(archived)+`ORDER BY created_at, id`,
		nil, scanFunction)
}

// Function finds a function, archived or not, or fails with [ErrNotFound].
func (s *Store) Function(ctx context.Context, id uuid.UUID) (Function, error) {
	return first(ctx, s, "function", `SELECT `+functionColumns+` FROM functions WHERE id = ?`, []any{id.String()}, scanFunction)
}

// FunctionWithSlug finds the active function of an app with that slug, or fails
// with [ErrNotFound].
func (s *Store) FunctionWithSlug(ctx context.Context, app uuid.UUID, slug string) (Function, error) {
	return first(ctx, s, "function", `SELECT `+functionColumns+` FROM functions
		WHERE app_id = ? AND slug = ? AND archived_at IS NULL`, []any{app.String(), slug}, scanFunction)
}

func activeUnless(archived bool) string {
	if archived {
		return ""
	}
	return "WHERE archived_at IS NULL "
}

func scanApp(row scanner, a *App) error {
	var status string
	return row.Scan(uuidOf{&a.ID}, &a.Name, &a.SDKLanguage, &a.SDKVersion, textOf{&a.Framework}, jsonOf{&a.Metadata}, &status,
		textOf{&a.Error}, &a.Checksum, timeOf{&a.CreatedAt}, timeOf{&a.ArchivedAt}, &a.URL, &a.Method, textOf{&a.AppVersion})
}

func scanFunction(row scanner, f *Function) error {
	return row.Scan(uuidOf{&f.ID}, uuidOf{&f.AppID}, &f.Name, &f.Slug, jsonOf{&f.Config}, timeOf{&f.CreatedAt}, timeOf{&f.ArchivedAt})
}
