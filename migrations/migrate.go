// Package migrations brings a database to the schema of the original
// (database §3, goose version 10 on PostgreSQL, 5 on SQLite) and adds Jetstep's
// own tables. It owns that schema, as SQL files of one directory per dialect,
// and the decision whether a database can be adopted.
//
// It guarantees that
//   - a new database is just what the original would have made, so that the
//     original accepts it;
//   - a database of an older original is migrated as the original would do it,
//     and what cannot be is refused with a [RefusedError] before it is changed;
//   - of several servers that start at once one migrates and the others wait.
//
// It must never put versions of its own into goose_db_version: the original
// then refuses to start as soon as it has a newer migration. Jetstep's tables
// (jetstep_*) have their own in jetstep_migrations.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// Dialect is a kind of SQL database.
type Dialect string

// The dialects; also the names of the directories with their migrations.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

// Tables of versions: the original's (database §3), and that of Jetstep's own tables.
const (
	originalVersions = "goose_db_version"
	ownVersions      = "jetstep_migrations"
)

//go:embed postgres/*.sql sqlite/*.sql own legacy
var files embed.FS

// Migrate brings the database up to date and leaves an up-to-date one as it is.
// It fails with a [RefusedError], having changed nothing, when it cannot tell
// how to adopt what is there.
func Migrate(ctx context.Context, db *sql.DB, d Dialect, log *slog.Logger) error {
	unlock, err := lock(ctx, db, d)
	if err != nil {
		return fmt.Errorf("locking the database for migration: %w", err)
	}
	defer unlock()

	catalog, err := inspect(ctx, db, d)
	if err != nil {
		return fmt.Errorf("reading the database's catalog: %w", err)
	}
	plan, err := decide(d, catalog)
	if err != nil {
		return err
	}
	if catalog.legacy == 0 && len(catalog.versions) == 0 {
		log.InfoContext(ctx, "making a new database")
		log = slog.New(slog.DiscardHandler) // of what it is made is of no interest
	}
	if err := plan.run(ctx, db, d, log); err != nil {
		return err
	}
	return up(ctx, db, d, "own/"+string(d), ownVersions, log)
}

// run does what was decided, the legacy migrations first.
func (p plan) run(ctx context.Context, db *sql.DB, d Dialect, log *slog.Logger) error {
	if err := applyLegacy(ctx, db, d, p.legacyFrom, log); err != nil {
		return err
	}
	if p.newer {
		log.WarnContext(ctx, "database was migrated by a newer server; its schema is left as it is")
		return nil
	}
	if d == Postgres {
		if err := dropInvalidIndexes(ctx, db); err != nil {
			return err
		}
	}
	if err := up(ctx, db, d, string(d), originalVersions, log); err != nil {
		return err
	}
	// A table that was there before the baseline may still lack something.
	catalog, err := inspect(ctx, db, d)
	if err != nil {
		return fmt.Errorf("reading the database's catalog: %w", err)
	}
	return complete(d, catalog)
}

// up applies the migrations of a directory that are missing, each in a
// transaction with its row in the table of versions.
func up(ctx context.Context, db *sql.DB, d Dialect, dir, table string, log *slog.Logger) error {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		return fmt.Errorf("opening migrations %s: %w", dir, err)
	}
	dialect := goose.DialectPostgres
	if d == SQLite {
		dialect = goose.DialectSQLite3
	}
	provider, err := goose.NewProvider(dialect, db, sub,
		goose.WithTableName(table), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading migrations %s: %w", dir, err)
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		log.InfoContext(ctx, "database migrated", "table", table, "version", r.Source.Version, "duration", r.Duration)
	}
	if err != nil {
		return fmt.Errorf("migrating the database (%s): %w", dir, err)
	}
	return nil
}
