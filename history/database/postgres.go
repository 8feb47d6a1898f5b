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

func (p *pgTx) insert(ctx context.Context, enc encoding, t target, rows rowSource, careful bool) error {
	if t.fresh && !careful && rows.len() > 1 {
		_, err := p.tx.CopyFrom(ctx, pgx.Identifier{t.name}, columnsOf(t.columns), &copying{enc: enc, rows: rows, next: -1})
		return err
	}
	for done := 0; done < rows.len(); {
		size := chunkOf(pgChunks[:], rows.len()-done)
		var args []any
		for i := range size {
			args = rows.append(enc, done+i, args)
		}
		if _, err := p.tx.Exec(ctx, numbered(t.statement("INSERT", size)), args...); err != nil {
			return err
		}
		done += size
	}
	return nil
}

func columnsOf(list string) []string {
	columns := strings.Split(list, ",")
	for i := range columns {
		columns[i] = strings.TrimSpace(columns[i])
	}
	return columns
}

// chunkOf is the largest of sizes, which end with 1, that is not above n.
func chunkOf(sizes []int, n int) int {
	for _, size := range sizes {
		if size <= n {
			return size
		}
	}
	return 1
}

// copying gives rows to the copy protocol.
type copying struct {
	enc    encoding
	rows   rowSource
	next   int
	values []any
}

func (c *copying) Next() bool {
	c.next++
	return c.next < c.rows.len()
}

func (c *copying) Values() ([]any, error) {
	c.values = c.rows.append(c.enc, c.next, c.values[:0])
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
