package database

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pgTx writes to PostgreSQL. New rows are copied, which is the fastest way in
// for both sides.
type pgTx struct{ tx pgx.Tx }

// pgChunks are how many rows one statement has: few numbers, so that the
// statements stay prepared.
var pgChunks = [...]int{64, 8, 1}

func (p *pgTx) insert(ctx context.Context, enc encoding, t *target, rows rowSource, careful bool) error {
	from := &copying{enc: enc, rows: rows, next: -1, usual: usualOf(t)}
	if t.fresh && !careful && rows.len() > 1 {
		_, err := p.tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, from)
		return err
	}
	row := "(?" + strings.Repeat(", ?", len(t.columns)-1) + ")"
	for done := 0; done < rows.len(); {
		size := chunkOf(pgChunks[:], rows.len()-done)
		var args []any
		for from.next = done; from.next < done+size; from.next++ {
			args = from.append(args)
		}
		if _, err := p.tx.Exec(ctx, numbered(t.statement("INSERT", row, size)), args...); err != nil {
			return err
		}
		done += size
	}
	return nil
}

// usualOf are the usual values of a table's columns, which are not worth a
// statement of their own here.
func usualOf(t *target) []any {
	values := make([]any, len(t.columns))
	for i, column := range t.columns {
		switch text := t.usual[column]; text {
		case zeroID:
			values[i] = make([]byte, 16)
		case "false":
			values[i] = false
		case "0":
			values[i] = 0
		default:
			values[i] = strings.Trim(text, "'")
		}
	}
	return values
}

// copying gives rows to the copy protocol.
type copying struct {
	enc    encoding
	rows   rowSource
	next   int
	usual  []any // of each column
	values []any
}

// append adds the values of the next row.
func (c *copying) append(to []any) []any {
	began := len(to)
	to = c.rows.append(c.enc, c.next, to)
	for i, value := range to[began:] {
		if value == (usual{}) {
			to[began+i] = c.usual[i]
		}
	}
	return to
}

func (c *copying) Next() bool {
	c.next++
	return c.next < c.rows.len()
}

func (c *copying) Values() ([]any, error) {
	c.values = c.append(c.values[:0])
	return c.values, nil
}

func (c *copying) Err() error { return nil }

func (p *pgTx) exec(ctx context.Context, text string, args ...any) error {
	_, err := p.tx.Exec(ctx, numbered(text), args...)
	return err
}

func (p *pgTx) query(ctx context.Context, text string, args []any, scan func(any) error) error {
	rows, err := p.tx.Query(ctx, numbered(text), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		if err := scan(values[0]); err != nil {
			return err
		}
	}
	return rows.Err()
}
