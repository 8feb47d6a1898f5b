package database

import (
	"context"
	"database/sql"
	"time"
)

// takeUpBefore is how long before the latest run that the index has, others may
// have begun one that it lacks: they may have run beside us, for a while.
const takeUpBefore = 24 * time.Hour

// TakeUp brings the index of runs up to date with rows that servers of the
// original wrote since ours was there, all of them the first time: with runs that
// it lacks, and then with the ends of those that it has as not ended. It is for
// the start of a server; when there is nothing of that kind it costs one look at
// an index. It returns how many runs it looked at.
func (s *Store) TakeUp(ctx context.Context) (int, error) {
	latest, err := collect(ctx, s, "the latest run", `SELECT max(started_at) FROM jetstep_runs`, nil,
		func(row scanner, at *sql.NullInt64) error { return row.Scan(at) })
	if err != nil {
		return 0, err
	}
	var since time.Time
	if latest[0].Valid {
		since = time.UnixMicro(latest[0].Int64).Add(-takeUpBefore)
	}
	found, err := s.reconcileMissing(ctx, since)
	if err != nil || found == 0 {
		return found, err
	}
	more, err := s.reconcileActive(ctx)
	return found + more, err
}
