// Package database keeps the read model in SQLite or PostgreSQL, in the schema
// of the original (database §1): it owns the encodings of every column, the
// writing of batches and the queries of the API.
//
// It guarantees that
//   - a batch is written whole or not at all, together with the position of its
//     source, so that a batch that is given again changes nothing;
//   - what was written reads the same from both dialects;
//   - rows of the original are read as its own readers do.
//
// It must not decide anything about runs: it is a copy that may be dropped, and
// nothing that executes may wait for it.
//
// Lists of runs come from an index of this package's own, jetstep_runs, which
// follows from the rows of spans. Servers of the original do not keep it:
// [Store.TakeUp] takes up what they wrote.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"jetstep/migrations"
)

// ErrNotFound is returned for a record that is not in the database.
var ErrNotFound = errors.New("not in the database")

// Options say where the database is (database §2).
type Options struct {
	// URI is that of PostgreSQL, postgres:// or postgresql://. Empty for SQLite.
	URI string
	// Dir is where SQLite has its file, main.db. Empty for a database in memory.
	Dir string

	// The pool of connections to PostgreSQL; 0 for the defaults of database/sql.
	MaxIdle, MaxOpen      int
	IdleTime, MaxLifetime time.Duration

	Log *slog.Logger // nil for slog.Default
}

// Store is a database. Its methods may be called at the same time.
type Store struct {
	db       *sql.DB
	writer   *sql.DB // db, or a connection of its own on a file of SQLite
	lite     liteWriter
	enc      encoding
	log      *slog.Logger
	migrated atomic.Bool
}

// Open prepares a database ([New]) and migrates it.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(o Options) (db, writer *sql.DB, dialect migrations.Dialect, err error) {
	if o.URI == "" {
		db, writer, err := connectSQLite(o.Dir)
		return db, writer, migrations.SQLite, err
	}
	if !strings.HasPrefix(o.URI, "postgres://") && !strings.HasPrefix(o.URI, "postgresql://") {
		scheme, _, _ := strings.Cut(o.URI, "://")
		return nil, nil, "", fmt.Errorf("unsupported database URL: scheme %q", scheme) // the rest may hold a password
	}
	config, err := pgx.ParseConfig(o.URI)
	if err != nil {
		return nil, nil, "", fmt.Errorf("parsing the database URL: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	// Columns without a zone are read as UTC by everybody (database §4).
	config.RuntimeParams["timezone"] = "UTC"
	db = stdlib.OpenDB(*config)
	db.SetMaxIdleConns(orDefault(o.MaxIdle, 2))
	db.SetMaxOpenConns(o.MaxOpen)
	db.SetConnMaxIdleTime(o.IdleTime)
	db.SetConnMaxLifetime(o.MaxLifetime)
	return db, db, migrations.Postgres, nil
}

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// connectSQLite opens a file in WAL mode, so that readers and the one writer do
// not wait for each other; what a crash of the machine takes is projected again.
func connectSQLite(dir string) (db, writer *sql.DB, err error) {
	if dir == "" {
		db, err := sql.Open("sqlite", "file::memory:")
		if err == nil {
			db.SetMaxOpenConns(1) // each connection would be another database
		}
		return db, db, err
	}
	source := "file:" + filepath.Join(dir, "main.db") +
		"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
	if db, err = sql.Open("sqlite", source); err != nil {
		return nil, nil, err
	}
	if writer, err = sql.Open("sqlite", source+writerPragmas); err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	writer.SetMaxOpenConns(1)
	return db, writer, nil
}

// writerPragmas let a batch stay in memory until it is committed (32 MiB), and
// keep pages that many batches change out of the file for 32 MiB of log.
const writerPragmas = "&_pragma=cache_size(-32768)&_pragma=temp_store(MEMORY)&_pragma=wal_autocheckpoint(8000)"

// Close closes the database.
func (s *Store) Close() error {
	if s.writer == s.db {
		return s.db.Close()
	}
	return errors.Join(s.writer.Close(), s.db.Close())
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.db.PingContext(ctx) }

// query runs a query and gives each row to scan.
func (s *Store) query(ctx context.Context, what, text string, args []any, scan func(scanner) error) error {
	if err := s.available(); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	rows, err := s.db.QueryContext(ctx, s.enc.rebind(text), s.enc.askable(args)...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, outage(err))
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("reading %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", what, outage(err))
	}
	return nil
}

type scanner interface{ Scan(into ...any) error }

// collect is query for a list of rows of one type.
func collect[R any](ctx context.Context, s *Store, what, text string, args []any, scan func(scanner, *R) error) ([]R, error) {
	var list []R
	err := s.query(ctx, what, text, args, func(row scanner) error {
		var r R
		if err := scan(row, &r); err != nil {
			return err
		}
		list = append(list, r)
		return nil
	})
	return list, err
}

// first is collect for what there is at most one of, or [ErrNotFound].
func first[R any](ctx context.Context, s *Store, what, text string, args []any, scan func(scanner, *R) error) (R, error) {
	list, err := collect(ctx, s, what, text, args, scan)
	if err != nil || len(list) > 0 {
		return append(list, *new(R))[0], err
	}
	return *new(R), fmt.Errorf("%s: %w", what, ErrNotFound)
}
