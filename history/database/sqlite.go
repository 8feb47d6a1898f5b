package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// liteWriter writes to SQLite, which takes one writer at a time. It keeps the
// statements of the connection that it wrote with last.
type liteWriter struct {
	mu         sync.Mutex
	conn       driver.Conn
	statements map[string]driver.Stmt
	inserts    map[insertKey]string
}

type insertKey struct {
	table string
	pattern
	rows int
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
		w.conn, w.statements, w.inserts = conn, map[string]driver.Stmt{}, map[insertKey]string{}
	}
	tx := &liteTx{writer: w}
	// Only this may wait for others, and must end with ctx.
	if err := tx.runUntil(ctx, "BEGIN IMMEDIATE", nil); err != nil {
		return err
	}
	err := do(tx)
	if err == nil {
		err = tx.exec(ctx, "COMMIT")
	}
	if err != nil {
		return errors.Join(err, tx.rollback(ctx))
	}
	return nil
}

// rollback undoes what SQLite has not undone already, as it does when the disk is
// full.
func (l *liteTx) rollback(ctx context.Context) error {
	err := l.exec(context.WithoutCancel(ctx), "ROLLBACK")
	if err != nil && strings.Contains(err.Error(), "no transaction is active") { // it has no code of its own
		return nil
	}
	return err
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

// pattern tells of each column of a row, by two bits, whether its value is bound,
// NULL or the usual one.
type pattern uint64

const (
	isNull  = 1
	isUsual = 2
)

func patternOf(values []any) (p pattern) {
	for i, value := range values {
		switch value.(type) {
		case nil:
			p |= isNull << (2 * i)
		case usual:
			p |= isUsual << (2 * i)
		}
	}
	return p
}

// row is the values of a row as SQL.
func (p pattern) row(t *target) string {
	parts := make([]string, len(t.columns))
	for i, column := range t.columns {
		switch p >> (2 * i) & 3 {
		case isNull:
			parts[i] = "NULL"
		case isUsual:
			if parts[i] = t.usual[column]; parts[i] == zeroID {
				parts[i] = "zeroblob(16)"
			}
		default:
			parts[i] = "?"
		}
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// rows of one pattern that wait for a statement.
type alike struct {
	values []any // those that are bound
	rows   int
}

// insert writes rows, those with the same pattern together: a value that is not
// bound costs nothing. A row that is refused need not be taken back by itself,
// for the transaction is over then.
func (l *liteTx) insert(ctx context.Context, enc encoding, t *target, rows rowSource, _ bool) error {
	groups := map[pattern]*alike{}
	var order []pattern
	for i := range rows.len() {
		l.values = rows.append(enc, i, l.values[:0])
		p := patternOf(l.values)
		group := groups[p]
		if group == nil {
			group = &alike{}
			groups[p] = group
			order = append(order, p)
		}
		for _, value := range l.values {
			if value != nil && value != (usual{}) {
				group.values = append(group.values, value)
			}
		}
		if group.rows++; group.rows == liteChunks[0] {
			if err := l.insertAlike(ctx, t, p, group); err != nil {
				return err
			}
		}
	}
	for _, p := range order {
		if err := l.insertAlike(ctx, t, p, groups[p]); err != nil {
			return err
		}
	}
	return nil
}

// insertAlike writes what waits, and empties it.
func (l *liteTx) insertAlike(ctx context.Context, t *target, p pattern, group *alike) error {
	for values := group.values; group.rows > 0; {
		size := chunkOf(liteChunks[:], group.rows)
		width := len(values) / group.rows * size
		key := insertKey{t.name, p, size}
		text, ok := l.writer.inserts[key]
		if !ok {
			text = t.statement("INSERT OR FAIL", p.row(t), size)
			l.writer.inserts[key] = text
		}
		if err := l.run(ctx, text, values[:width]); err != nil {
			return err
		}
		values, group.rows = values[width:], group.rows-size
	}
	group.values = group.values[:0]
	return nil
}

// run executes a statement, unless ctx has ended. The driver would start a
// goroutine for each statement that can be interrupted.
func (l *liteTx) run(ctx context.Context, text string, values []any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.runUntil(context.WithoutCancel(ctx), text, values)
}

// runUntil executes a statement until ctx ends.
func (l *liteTx) runUntil(ctx context.Context, text string, values []any) error {
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
