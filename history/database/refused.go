package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"
	"modernc.org/sqlite"

	"jetstep/migrations"
)

// refusals are the classes of SQLSTATE about what is in a row: data, integrity,
// limits.
var refusals = []string{"22", "23", "54"}

// The result codes of SQLite that are about what is in a row: too big,
// constraint, mismatch.
const (
	liteTooBig     = 18
	liteConstraint = 19
	liteMismatch   = 20
)

// Refused tells whether a database did not take what is in a row: writing it
// again is of no use.
func Refused(err error) bool {
	var reported *pgconn.PgError
	if errors.As(err, &reported) {
		for _, class := range refusals {
			if strings.HasPrefix(reported.Code, class) {
				return true
			}
		}
		return false
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case liteTooBig, liteConstraint, liteMismatch:
			return true
		}
	}
	return false
}

// isDuplicate tells whether a row was refused because it is there already.
func isDuplicate(err error) bool {
	var reported *pgconn.PgError
	return errors.As(err, &reported) && reported.Code == "23505"
}

// Dropped is a row that a database has refused.
type Dropped struct {
	Table string
	RunID ulid.ULID // zero if it is not of a run
	Kept  bool      // the row is stored, without what users put into it
	Err   error     // why
}

// WriteEach is Write for a batch that was refused: rows that the database does
// not take are stored without the data of users, and if that does not help left
// out.
func (s *Store) WriteEach(ctx context.Context, r *Records) (dropped []Dropped, err error) {
	changes, err := runChanges(r.Spans)
	if err != nil {
		changes = nil // the rows of spans are worth more than the index, which can be made again
	}
	err = s.transact(ctx, func(tx *transaction) error {
		dropped = nil
		tx.careful = true
		left, err := tx.begin(ctx, r)
		if err != nil || left == nil {
			return err
		}
		each := &salvage{ctx: ctx, tx: tx}
		insertEach(each, apps, left.Apps, nil)
		insertEach(each, functions, left.Functions, nil)
		insertEach(each, events, left.Events, (*Event).plain)
		insertEach(each, batches, left.Batches, nil)
		insertEach(each, functionRuns(s.enc), left.Runs, nil)
		insertEach(each, finishes, left.Finishes, (*FunctionFinish).plain)
		insertEach(each, historyEntries, left.History, (*HistoryEntry).plain)
		insertEach(each, traceRuns, latestTraceRuns(left.TraceRuns), nil)
		insertEach(each, spans, left.Spans, (*Span).plain)
		if each.err != nil {
			return each.err
		}
		dropped = each.dropped
		return errors.Join(tx.start(ctx, left.Started), insertRunChanges(ctx, tx, changes))
	})
	if err != nil {
		return nil, fmt.Errorf("writing records of %s one by one: %w", r.Source, err)
	}
	return dropped, nil
}

// salvage is a transaction in which rows may be refused.
type salvage struct {
	ctx     context.Context
	tx      *transaction
	dropped []Dropped
	err     error // of the database, not of a row
}

// insertEach writes rows together, and when one is refused each by itself. plain
// makes a row without what users put into it; the more it is asked for the less
// is left.
func insertEach[R any](s *salvage, t *table[R], rows []R, plain func(*R, int) R) {
	if s.err != nil || len(rows) == 0 || s.try(func() error { return insert(s.ctx, s.tx, t, rows) }) == nil {
		return
	}
	for i := range rows {
		why := s.try(func() error { return insert(s.ctx, s.tx, t, rows[i:i+1]) })
		if why == nil || s.err != nil {
			continue
		}
		kept := false
		for level := 1; level <= 2 && plain != nil && !kept; level++ {
			row := []R{plain(&rows[i], level)}
			kept = s.try(func() error { return insert(s.ctx, s.tx, t, row) }) == nil
		}
		s.dropped = append(s.dropped, Dropped{Table: t.name, RunID: runOf(&rows[i]), Kept: kept, Err: why})
	}
}

func runOf(row any) ulid.ULID {
	switch r := row.(type) {
	case *Span:
		return r.RunID
	case *HistoryEntry:
		return r.RunID
	case *FunctionRun:
		return r.RunID
	case *FunctionFinish:
		return r.RunID
	case *TraceRun:
		return r.RunID
	}
	return ulid.ULID{}
}

// try writes something that may be refused, which then is as if it had not been
// tried. It returns why; any other error is kept and returned too.
func (s *salvage) try(write func() error) error {
	if s.err != nil {
		return s.err
	}
	if s.err = s.tx.exec(s.ctx, `SAVEPOINT salvage`); s.err != nil {
		return s.err
	}
	err := write()
	switch {
	case err == nil:
		s.err = s.tx.exec(s.ctx, `RELEASE SAVEPOINT salvage`)
	case Refused(err):
		s.err = s.tx.exec(s.ctx, `ROLLBACK TO SAVEPOINT salvage`)
	default:
		s.err = err
	}
	return errors.Join(err, s.err)
}

// plain leaves out, at level 1, characters that PostgreSQL does not store, and at
// level 2 all that is not Jetstep's own.
func (s *Span) plain(level int) Span {
	row := *s
	if level == 1 {
		row.Attributes, row.Input, row.Output = storable(s.Attributes), storable(s.Input), storable(s.Output)
		return row
	}
	row.Input, row.Output = nil, nil
	row.Attributes = json.RawMessage(`{}`)
	if s.Status != "" {
		row.Attributes = json.RawMessage(`{"_inngest.dynamic.status":"` + s.Status + `"}`)
	}
	return row
}

func (h *HistoryEntry) plain(level int) HistoryEntry {
	row := *h
	row.StepName, row.StepID, row.URL = text(h.StepName), text(h.StepID), text(h.URL)
	if level > 1 {
		row.StepName, row.Result, row.WaitForEvent, row.InvokeFunction = "", nil, nil, nil
	}
	return row
}

func (e *Event) plain(level int) Event {
	row := *e
	row.ID, row.Name, row.Version = text(e.ID), text(e.Name), text(e.Version)
	row.Data, row.User = json.RawMessage(text(string(e.Data))), json.RawMessage(text(string(e.User)))
	if level > 1 {
		row.Name, row.ID = row.Name[:min(len(row.Name), 256)], row.InternalID.String()
		row.Name = text(row.Name)
		row.Data, row.User, row.Version = json.RawMessage(`{}`), nil, ""
	}
	return row
}

func (f *FunctionFinish) plain(level int) FunctionFinish {
	row := *f
	row.Output = text(f.Output)
	if level > 1 {
		row.Output = ""
	}
	return row
}

// text is what PostgreSQL stores of a text.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// askable are the arguments of a query with texts as they are stored, since
// PostgreSQL refuses to look for others.
func (e encoding) askable(args []any) []any {
	if e.dialect != migrations.Postgres {
		return args
	}
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = text(s)
		}
	}
	return args
}

// storable is JSON without the escapes that jsonb does not store: those of U+0000
// and of halves of surrogate pairs. They become U+FFFD.
func storable(value json.RawMessage) json.RawMessage {
	if value == nil {
		return nil
	}
	in := text(string(value))
	var out strings.Builder
	for i := 0; i < len(in); {
		if in[i] != '\\' || i+1 == len(in) {
			out.WriteByte(in[i])
			i++
			continue
		}
		unit, ok := escapeAt(in, i)
		low, paired := escapeAt(in, i+6)
		switch {
		case !ok:
			out.WriteString(in[i : i+2])
			i += 2
		case paired && utf16.DecodeRune(unit, low) != utf8.RuneError:
			out.WriteString(in[i : i+12])
			i += 12
		case unit == 0 || utf16.IsSurrogate(unit):
			out.WriteString(`\ufffd`)
			i += 6
		default:
			out.WriteString(in[i : i+6])
			i += 6
		}
	}
	return json.RawMessage(out.String())
}

// escapeAt is the number in an escape \uXXXX.
func escapeAt(in string, i int) (unit rune, ok bool) {
	if i+6 > len(in) || in[i] != '\\' || in[i+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(in[i+2:i+6], 16, 16)
	return rune(n), err == nil
}
