package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"jetstep/migrations"
)

// ErrUnavailable is wrapped by errors of reading from a database that does not
// answer, or has not been migrated yet. Trying later helps.
var ErrUnavailable = errors.New("the database is not available")

// connectTimeout bounds connecting to PostgreSQL when its URI does not.
const connectTimeout = 5 * time.Second

// New prepares a database without contacting it, so that it fails only for
// options that can never work. Until [Store.Migrate] has succeeded, reading
// fails with [ErrUnavailable].
func New(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	db, writer, dialect, err := connect(o)
	if err != nil {
		return nil, err
	}
	return &Store{db: db, writer: writer, enc: encodingOf(dialect), log: o.Log}, nil
}

// Migrate brings the schema up to date ([migrations.Migrate]). It may be tried
// again after an error, which is a [migrations.RefusedError] when that is of no
// use.
func (s *Store) Migrate(ctx context.Context) error {
	if err := migrations.Migrate(ctx, s.db, s.enc.dialect, s.log); err != nil {
		return outage(err)
	}
	s.migrated.Store(true)
	return nil
}

// Preview says in words what Migrate would do, and changes nothing
// ([migrations.Preview]). When the original's tables are as they should be, they
// can be read from then on.
func (s *Store) Preview(ctx context.Context) (what string, readable bool, err error) {
	what, readable, err = migrations.Preview(ctx, s.db, s.enc.dialect)
	if err != nil {
		return "", false, outage(err)
	}
	s.migrated.Store(readable)
	return what, readable, nil
}

// available fails with ErrUnavailable before the first migration.
func (s *Store) available() error {
	if s.migrated.Load() {
		return nil
	}
	return fmt.Errorf("%w: it has not been opened yet", ErrUnavailable)
}

// outage marks errors that say that the database does not answer, rather than
// that it was asked for something wrong.
func outage(err error) error {
	if isOutage(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// outageStates are the classes of SQLSTATE of a server that is out of reach,
// starting, stopping or exhausted.
var outageStates = []string{"08", "53", "57P", "58"}

func isOutage(err error) bool {
	var refused *pgconn.ConnectError
	var network net.Error
	var reported *pgconn.PgError
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &reported):
		for _, class := range outageStates {
			if strings.HasPrefix(reported.Code, class) {
				return true
			}
		}
		return false
	}
	return errors.As(err, &refused) || errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
