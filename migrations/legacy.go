package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
)

// applyLegacy applies the legacy migrations above from, each in a transaction
// with its version in the table migrations (database §3).
func applyLegacy(ctx context.Context, db *sql.DB, d Dialect, from int, log *slog.Logger) error {
	names, err := fs.Glob(files, "legacy/"+string(d)+"/*.sql") // sorted
	if err != nil {
		return fmt.Errorf("listing legacy migrations: %w", err)
	}
	for _, name := range names {
		version, err := strconv.Atoi(path.Base(name)[:5])
		if err != nil {
			return fmt.Errorf("legacy migration %s: %w", name, err)
		}
		if version <= from {
			continue
		}
		if err := applyLegacyFile(ctx, db, name, version); err != nil {
			return fmt.Errorf("legacy migration %d: %w", version, err)
		}
		log.InfoContext(ctx, "database migrated", "table", "migrations", "version", version)
	}
	return nil
}

func applyLegacyFile(ctx context.Context, db *sql.DB, name string, version int) error {
	text, err := files.ReadFile(name)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, string(text)); err != nil {
		return err
	}
	// A number that the program made itself: no parameter, so that it is the
	// same in both dialects.
	if _, err := tx.ExecContext(ctx, "UPDATE migrations SET version = "+strconv.Itoa(version)); err != nil {
		return err
	}
	return tx.Commit()
}
