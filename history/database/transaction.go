package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"jetstep/migrations"
)

// transaction writes. It bypasses database/sql, which would look at each value
// several times: a batch has a hundred thousand of them.
type transaction struct {
	enc encoding
	// careful is set when rows that are thought to be new may not be.
	careful bool
	via     dialectTx
}

// dialectTx is what transactions of both databases can do.
type dialectTx interface {
	insert(ctx context.Context, enc encoding, t *target, rows rowSource, careful bool) error
	// exec runs a statement with the placeholders ?.
	exec(ctx context.Context, text string, args ...any) error
	// query gives the rows of a query to scan, one value each.
	query(ctx context.Context, text string, args []any, scan func(value any) error) error
}

func (tx *transaction) insert(ctx context.Context, t *target, rows rowSource) error {
	return tx.via.insert(ctx, tx.enc, t, rows, tx.careful)
}

func (tx *transaction) exec(ctx context.Context, text string, args ...any) error {
	return tx.via.exec(ctx, text, args...)
}

// int is the one number that a query returns.
func (tx *transaction) int(ctx context.Context, text string, args ...any) (n int64, err error) {
	found := false
	err = tx.via.query(ctx, text, args, func(value any) error {
		number, ok := value.(int64)
		if !ok {
			return fmt.Errorf("a number is stored as %T", value)
		}
		n, found = number, true
		return nil
	})
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return n, err
}

// transact runs do in a transaction, which is committed unless it fails.
func (s *Store) transact(ctx context.Context, do func(*transaction) error) error {
	if err := s.available(); err != nil {
		return err
	}
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return outage(err)
	}
	defer func() { _ = conn.Close() }() // back to the pool
	enc := s.enc.remembering()
	err = conn.Raw(func(raw any) error {
		if s.enc.dialect == migrations.SQLite {
			return s.lite.transact(ctx, raw.(driver.Conn), func(via *liteTx) error {
				return do(&transaction{enc: enc, via: via})
			})
		}
		return pgTransact(ctx, raw.(*stdlib.Conn).Conn(), func(via *pgTx) error {
			return do(&transaction{enc: enc, via: via})
		})
	})
	return outage(err)
}

func pgTransact(ctx context.Context, conn *pgx.Conn, do func(*pgTx) error) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return broken(conn, err)
	}
	if err := do(&pgTx{tx}); err != nil {
		return broken(conn, errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))))
	}
	return broken(conn, tx.Commit(ctx))
}

// broken lets the pool know of a connection that is of no more use.
func broken(conn *pgx.Conn, err error) error {
	if err != nil && conn.IsClosed() {
		return errors.Join(err, driver.ErrBadConn)
	}
	return err
}
