package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
)

// liteWriter writes to SQLite, which takes one writer at a time. It keeps the
// statements of the connection that it wrote with last.
type liteWriter struct {
	mu         sync.Mutex
	conn       driver.Conn
	statements map[string]driver.Stmt
}

// liteTx is a transaction of SQLite.
type liteTx struct {
	writer *liteWriter
	args   []driver.NamedValue
	values []any
}

// liteChunks are how many rows one statement has.
var liteChunks = [...]int{32, 8, 1}

func (w *liteWriter) transact(ctx context.Context, conn driver.Conn, do func(*liteTx) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != conn {
		w.conn, w.statements = conn, map[string]driver.Stmt{}
	}
	tx := &liteTx{writer: w}
	if err := tx.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := do(tx); err != nil {
		return errors.Join(err, tx.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	if err := tx.exec(ctx, "COMMIT"); err != nil {
		return errors.Join(err, tx.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	return nil
}

func (w *liteWriter) prepare(ctx context.Context, text string) (driver.Stmt, error) {
	if stmt, ok := w.statements[text]; ok {
		return stmt, nil
	}
	stmt, err := w.conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err == nil {
		w.statements[text] = stmt
	}
	return stmt, err
}

// insert writes rows so that a refused one need not be taken back by itself:
// the transaction is over then.
func (l *liteTx) insert(ctx context.Context, enc encoding, t target, rows rowSource, _ bool) error {
	for done := 0; done < rows.len(); {
		size := chunkOf(liteChunks[:], rows.len()-done)
		l.values = l.values[:0]
		for i := range size {
			l.values = rows.append(enc, done+i, l.values)
		}
		if err := l.run(ctx, t.statement("INSERT OR FAIL", size), l.values); err != nil {
			return err
		}
		done += size
	}
	return nil
}

func (l *liteTx) run(ctx context.Context, text string, values []any) error {
	stmt, err := l.writer.prepare(ctx, text)
	if err != nil {
		return err
	}
	if err := l.bind(values); err != nil {
		return err
	}
	_, err = stmt.(driver.StmtExecContext).ExecContext(ctx, l.args)
	return err
}

// bind turns values into what the driver takes.
func (l *liteTx) bind(values []any) error {
	l.args = l.args[:0]
	for i, value := range values {
		switch v := value.(type) {
		case int:
			value = int64(v)
		case *int:
			value = nil
			if v != nil {
				value = int64(*v)
			}
		case nil, int64, bool, string, []byte:
		default:
			return fmt.Errorf("a value of type %T cannot be stored", value)
		}
		l.args = append(l.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return nil
}

func (l *liteTx) exec(ctx context.Context, text string, args ...any) error {
	return l.run(ctx, text, args)
}

func (l *liteTx) query(ctx context.Context, text string, args []any, scan func(any) error) error {
	stmt, err := l.writer.prepare(ctx, text)
	if err != nil {
		return err
	}
	if err := l.bind(args); err != nil {
		return err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(ctx, l.args)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := scan(row[0]); err != nil {
			return err
		}
	}
}
