package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver of the lock file
)

// lockKey is the advisory lock's number on PostgreSQL: "jetstep" in ASCII.
const lockKey = 0x6a657473746570

// lockPause is the time between two tries. They are tries, since a session that
// waits for an advisory lock keeps a snapshot open, for which "create index
// concurrently" in the session that has the lock would wait.
const lockPause = 50 * time.Millisecond

// lock makes the caller the only one who migrates this database.
func lock(ctx context.Context, db *sql.DB, d Dialect) (unlock func(), err error) {
	if d == SQLite {
		return lockSQLite(ctx, db)
	}
	return lockPostgres(ctx, db)
}

func lockPostgres(ctx context.Context, db *sql.DB) (func(), error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var taken bool
		err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, int64(lockKey)).Scan(&taken)
		if err == nil && !taken {
			err = pause(ctx)
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		if taken {
			break
		}
	}
	return func() {
		// If this fails the connection is broken, and its lock gone with it.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(lockKey))
		_ = conn.Close()
	}, nil
}

func pause(ctx context.Context) error {
	timer := time.NewTimer(lockPause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// inMemory guards databases without a file, which only this process can have.
var inMemory sync.Mutex

// lockSQLite locks an empty database beside the file: SQLite has no advisory
// locks, but its file locks work everywhere and end with the process.
func lockSQLite(ctx context.Context, db *sql.DB) (func(), error) {
	var place int
	var name, file string
	// The pragma itself, unlike the table function, does not read the schema, for
	// which it would have to wait for a writer. The first row is "main".
	if err := db.QueryRowContext(ctx, `PRAGMA database_list`).Scan(&place, &name, &file); err != nil {
		return nil, fmt.Errorf("asking for the database's file: %w", err)
	}
	if file == "" {
		inMemory.Lock()
		return inMemory.Unlock, nil
	}
	guard, err := sql.Open("sqlite", "file:"+file+".lock")
	if err != nil {
		return nil, err
	}
	guard.SetMaxOpenConns(1)
	for {
		_, err := guard.ExecContext(ctx, `BEGIN EXCLUSIVE`)
		if err == nil {
			return func() { _ = guard.Close() }, nil
		}
		if ctx.Err() != nil || !isBusy(err) {
			return nil, errors.Join(err, guard.Close())
		}
		if err := pause(ctx); err != nil {
			return nil, errors.Join(err, guard.Close())
		}
	}
}

// isBusy tells whether another connection has the lock (SQLITE_BUSY).
func isBusy(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 5
}
