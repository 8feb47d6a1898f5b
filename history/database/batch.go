package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// Records is a batch of rows: those that the records From+1 … To of one source,
// of the stream EVENTS or of a partition's log, led to. Apps and functions replace what has their id, the
// rest is added.
type Records struct {
	Source   string // '' for rows that no source has the positions of
	From, To uint64 // positions: those after From, up to and with To
	// Again says that some of the rows may be stored already, as when a stream
	// is read once more. Those are looked for, and only the others written.
	Again bool

	Apps      []App
	Functions []Function
	Events    []Event
	Batches   []Batch
	Runs      []FunctionRun
	Finishes  []FunctionFinish
	History   []HistoryEntry
	TraceRuns []TraceRun
	Started   []StartedRun // runs whose row in trace_runs was scheduled so far
	Spans     []Span
}

// PositionError is returned for a batch that does not begin where its source was
// left off: the source is to be read again from Stored.
type PositionError struct {
	Source       string
	Stored, From uint64
}

func (e *PositionError) Error() string {
	return fmt.Sprintf("records of %s after %d were offered, those after %d are next", e.Source, e.From, e.Stored)
}

// Len is the number of rows that others can see.
func (r *Records) Len() int {
	return len(r.Apps) + len(r.Functions) + len(r.Events) + len(r.Batches) + len(r.Runs) + len(r.Finishes) +
		len(r.History) + len(r.TraceRuns) + len(r.Spans)
}

// Write stores a batch whole. A batch that is stored already changes nothing. It
// fails with a [PositionError] for one that leaves a gap or overlaps, and with an
// error that is [Refused] when the database does not take what is in a row.
func (s *Store) Write(ctx context.Context, r *Records) error {
	err := s.write(ctx, r, false)
	if isDuplicate(err) {
		// Rows that were thought to be new are there already.
		err = s.write(ctx, r, true)
	}
	return err
}

func (s *Store) write(ctx context.Context, r *Records, careful bool) error {
	if r.To > math.MaxInt64 {
		return fmt.Errorf("position %d of %s is out of range", r.To, r.Source)
	}
	changes, err := runChanges(r.Spans)
	if err == nil {
		err = s.transact(ctx, func(tx *transaction) error {
			tx.careful = careful || r.Again
			left, err := tx.begin(ctx, r)
			if err != nil || left == nil {
				return err
			}
			return s.insertAll(ctx, tx, left, changes)
		})
	}
	if err != nil {
		return fmt.Errorf("writing records of %s: %w", r.Source, err)
	}
	return nil
}

// begin moves the source's position and leaves of a batch what is not stored yet;
// nil when all of it is.
func (tx *transaction) begin(ctx context.Context, r *Records) (*Records, error) {
	known, err := tx.advance(ctx, r)
	switch {
	case err != nil || known:
		return nil, err
	case r.Again:
		return tx.missing(ctx, r)
	}
	left := *r
	left.Events, err = tx.unsent(ctx, r.Events)
	return &left, err
}

// advance moves the source's position, and tells whether the batch was known.
// The row is locked first, so that of two writers one waits and then sees.
func (tx *transaction) advance(ctx context.Context, r *Records) (known bool, err error) {
	if r.Source == "" {
		return false, nil
	}
	const touch = `INSERT INTO jetstep_positions (source, position, updated_at) VALUES (?, 0, ?)
		ON CONFLICT (source) DO UPDATE SET updated_at = excluded.updated_at RETURNING position`
	stored, err := tx.int(ctx, touch, r.Source, time.Now().UnixMilli())
	if err != nil {
		return false, fmt.Errorf("reading the position: %w", err)
	}
	switch {
	case uint64(stored) >= r.To:
		return true, nil
	case uint64(stored) != r.From:
		return false, &PositionError{Source: r.Source, Stored: uint64(stored), From: r.From}
	}
	return false, tx.exec(ctx, `UPDATE jetstep_positions SET position = ? WHERE source = ?`, int64(r.To), r.Source)
}

// Position is how far a source has been written, 0 if never.
func (s *Store) Position(ctx context.Context, source string) (uint64, error) {
	var position int64
	err := s.db.QueryRowContext(ctx, s.enc.rebind(`SELECT position FROM jetstep_positions WHERE source = ?`), source).Scan(&position)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("reading the position of %s: %w", source, err)
	}
	return uint64(position), nil
}

// SetPosition moves a source without rows, as when its stream was restored and
// has given numbers again.
func (s *Store) SetPosition(ctx context.Context, source string, position uint64) error {
	const text = `INSERT INTO jetstep_positions (source, position, updated_at) VALUES (?, ?, ?)
		ON CONFLICT (source) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at`
	_, err := s.db.ExecContext(ctx, s.enc.rebind(text), source, int64(position), time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("setting the position of %s: %w", source, err)
	}
	return nil
}

func (s *Store) insertAll(ctx context.Context, tx *transaction, r *Records, changes []runChange) error {
	for _, write := range []func() error{
		func() error { return insert(ctx, tx, apps, r.Apps) },
		func() error { return insert(ctx, tx, functions, r.Functions) },
		func() error { return insert(ctx, tx, events, r.Events) },
		func() error { return insert(ctx, tx, batches, r.Batches) },
		func() error { return insert(ctx, tx, functionRuns(s.enc), r.Runs) },
		func() error { return insert(ctx, tx, finishes, r.Finishes) },
		func() error { return insert(ctx, tx, historyEntries, r.History) },
		func() error { return insert(ctx, tx, traceRuns, latestTraceRuns(r.TraceRuns)) },
		func() error { return tx.start(ctx, r.Started) },
		func() error { return insert(ctx, tx, spans, r.Spans) },
		func() error { return insertRunChanges(ctx, tx, changes) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}
