package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// catalog is what a database says about itself.
type catalog struct {
	columns     map[string][]string // of each table
	versions    []int64             // applied ones of goose_db_version, 0 left out
	legacy      int                 // of the table migrations, 0 if none
	legacyDirty bool
}

// applied is the newest version of goose_db_version, 0 for none.
func (c catalog) applied() int64 { return slices.Max(append([]int64{0}, c.versions...)) }

var columnQueries = map[Dialect]string{
	Postgres: `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()`,
	SQLite: `SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`,
}

func inspect(ctx context.Context, db *sql.DB, d Dialect) (catalog, error) {
	c := catalog{columns: map[string][]string{}}
	if err := c.readColumns(ctx, db, d); err != nil {
		return c, err
	}
	if _, ok := c.columns[originalVersions]; ok {
		if err := c.readVersions(ctx, db); err != nil {
			return c, err
		}
	}
	if _, ok := c.columns["migrations"]; ok {
		err := db.QueryRowContext(ctx, `SELECT version, dirty FROM migrations ORDER BY version DESC LIMIT 1`).
			Scan(&c.legacy, &c.legacyDirty)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return c, fmt.Errorf("reading migrations: %w", err)
		}
	}
	return c, nil
}

func (c *catalog) readColumns(ctx context.Context, db *sql.DB, d Dialect) error {
	rows, err := db.QueryContext(ctx, columnQueries[d])
	if err != nil {
		return fmt.Errorf("listing columns: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return fmt.Errorf("listing columns: %w", err)
		}
		c.columns[table] = append(c.columns[table], column)
	}
	return rows.Err()
}

// readVersions takes the newest row of each version: a version that was rolled
// back has a later row that says so.
func (c *catalog) readVersions(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT version_id, is_applied FROM goose_db_version AS g
		WHERE version_id > 0 AND id = (SELECT max(id) FROM goose_db_version WHERE version_id = g.version_id)
		ORDER BY version_id`)
	if err != nil {
		return fmt.Errorf("reading %s: %w", originalVersions, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var version int64
		var applied bool
		if err := rows.Scan(&version, &applied); err != nil {
			return fmt.Errorf("reading %s: %w", originalVersions, err)
		}
		if applied {
			c.versions = append(c.versions, version)
		}
	}
	return rows.Err()
}

var (
	tablePattern  = regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS (\w+) \((.*?)\n\);`)
	columnPattern = regexp.MustCompile(`(?m)^  ([a-z_]+) +\S`)
)

// required lists the columns of each table of the current schema. They are read
// out of the baseline, which is the one place that names them.
func required(d Dialect) map[string][]string {
	if d == SQLite {
		return sqliteColumns()
	}
	return postgresColumns()
}

var (
	postgresColumns = sync.OnceValue(func() map[string][]string { return baselineColumns(Postgres) })
	sqliteColumns   = sync.OnceValue(func() map[string][]string { return baselineColumns(SQLite) })
)

func baselineColumns(d Dialect) map[string][]string {
	text, err := files.ReadFile(string(d) + "/00001_baseline.sql")
	if err != nil {
		panic(err) // it is embedded
	}
	tables := map[string][]string{}
	for _, table := range tablePattern.FindAllStringSubmatch(string(text), -1) {
		name := table[1]
		if strings.EqualFold(name, "migrations") {
			continue
		}
		for _, column := range columnPattern.FindAllStringSubmatch(table[2], -1) {
			tables[name] = append(tables[name], column[1])
		}
	}
	tables["spans"] = append(tables["spans"], "is_deferred") // the only one added since
	return tables
}

// dropInvalidIndexes removes what an interrupted "create index concurrently"
// leaves behind: "if not exists" takes it for an index.
func dropInvalidIndexes(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
		WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace AND c.relname LIKE 'idx\_%'`)
	if err != nil {
		return fmt.Errorf("looking for invalid indexes: %w", err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return errors.Join(fmt.Errorf("looking for invalid indexes: %w", err), rows.Close())
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("looking for invalid indexes: %w", err)
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, `DROP INDEX IF EXISTS "`+strings.ReplaceAll(name, `"`, `""`)+`"`); err != nil {
			return fmt.Errorf("dropping the invalid index %s: %w", name, err)
		}
	}
	return nil
}
