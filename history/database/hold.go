package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/migrations"
)

// ErrInUse is returned by Seize while a server projects into the database.
var ErrInUse = errors.New("a server writes to the database")

// holdKey is the advisory lock's number on PostgreSQL: "jetstep" and 1 in ASCII.
const holdKey = 0x6a65747374657031

// Hold marks the database as one that a server writes to, until release is
// called or the connection is lost. It waits while someone has seized it. A file
// of SQLite is marked by its directory's lock instead.
func (s *Store) Hold(ctx context.Context) (release func(), err error) {
	for {
		release, taken, err := s.lock(ctx, `SELECT pg_try_advisory_lock_shared(?)`, `SELECT pg_advisory_unlock_shared(?)`)
		if err != nil || taken {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(holdPause):
		}
	}
}

const holdPause = time.Second

// Seize takes the database for oneself, or fails with [ErrInUse].
func (s *Store) Seize(ctx context.Context) (release func(), err error) {
	release, taken, err := s.lock(ctx, `SELECT pg_try_advisory_lock(?)`, `SELECT pg_advisory_unlock(?)`)
	if err == nil && !taken {
		err = ErrInUse
	}
	return release, err
}

// lock keeps a connection as long as the lock.
func (s *Store) lock(ctx context.Context, try, unlock string) (release func(), taken bool, err error) {
	if s.enc.dialect == migrations.SQLite {
		return func() {}, true, nil
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("locking the database: %w", outage(err))
	}
	err = conn.QueryRowContext(ctx, s.enc.rebind(try), int64(holdKey)).Scan(&taken)
	if err != nil || !taken {
		return nil, false, errors.Join(outage(err), conn.Close())
	}
	return func() {
		// If this fails the connection is broken, and its lock gone with it.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), s.enc.rebind(unlock), int64(holdKey))
		_ = conn.Close()
	}, true, nil
}

// Place is how far a source has been written.
type Place struct {
	Source    string
	Position  uint64
	UpdatedAt time.Time // ms
}

// Places are the positions of all sources, by name.
func (s *Store) Places(ctx context.Context) ([]Place, error) {
	return collect(ctx, s, "positions", `SELECT source, position, updated_at FROM jetstep_positions ORDER BY source`, nil,
		func(row scanner, p *Place) error {
			var position, at int64
			err := row.Scan(&p.Source, &position, &at)
			p.Position, p.UpdatedAt = uint64(position), time.UnixMilli(at).UTC()
			return err
		})
}

// Forget deletes all that is known of runs; their events stay.
func (s *Store) Forget(ctx context.Context, runs []ulid.ULID) error {
	for chunk := range slices.Chunk(runs, retentionChunk) {
		if err := s.forget(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}
