package database

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/migrations"
)

// encoding is how a dialect stores values (database §4). Only what differs
// between the dialects is here; the rest is the same in both.
type encoding struct {
	dialect migrations.Dialect
	// time is a timestamp: UTC, µs on PostgreSQL. SQLite compares them as text.
	time func(time.Time) any
	// ulidText is a ULID in a CHAR(26) column.
	ulidText func(ulid.ULID) any
	// The next are alike in both dialects: a UUID or a ULID as text, a ULID as
	// bytes.
	uuid func(uuid.UUID) any
	text func(ulid.ULID) any
	raw  func(ulid.ULID) any
	// rebind turns the placeholders ? of a statement into the dialect's own.
	rebind func(string) string
}

func encodingOf(d migrations.Dialect) encoding {
	e := encoding{
		dialect: d,
		uuid:    func(id uuid.UUID) any { return id.String() },
		text:    func(id ulid.ULID) any { return id.String() },
		raw:     func(id ulid.ULID) any { return id.Bytes() },
	}
	if d == migrations.SQLite {
		e.time = func(t time.Time) any { return goTimeText(t) }
		e.ulidText = e.raw
		e.rebind = func(text string) string { return text }
		return e
	}
	e.time = func(t time.Time) any { return t.UTC().Truncate(time.Microsecond) }
	e.ulidText = e.text
	e.rebind = numbered
	return e
}

// remembering makes the values that rows next to each other share once: most
// repeat ids and times. It is for one transaction.
func (e encoding) remembering() encoding {
	type instant struct {
		seconds     int64
		nanoseconds int
	}
	encode := e.time
	times := remember(func(at instant) int { return at.nanoseconds >> 20 }, func(at instant) any {
		return encode(time.Unix(at.seconds, int64(at.nanoseconds)))
	})
	e.time = func(t time.Time) any { return times(instant{t.Unix(), t.Nanosecond()}) }
	e.uuid = remember(func(id uuid.UUID) int { return int(id[0] ^ id[15]) }, e.uuid)
	last := func(id ulid.ULID) int { return int(id[7] ^ id[15]) }
	e.text, e.raw = remember(last, e.text), remember(last, e.raw)
	return e
}

// remember keeps the latest values of a function, few and each in the place that
// slot gives its key: looking for one must cost less than making it.
func remember[K comparable](slot func(K) int, encode func(K) any) func(K) any {
	var known [64]struct {
		key   K
		value any
	}
	return func(k K) any {
		at := &known[slot(k)%len(known)]
		if at.value == nil || at.key != k {
			at.key, at.value = k, encode(k)
		}
		return at.value
	}
}

// goTime is the form of time.Time.String, without a monotonic suffix.
const goTime = "2006-01-02 15:04:05.999999999 -0700 MST"

// goTimeText is t in that form. It is made for several columns of each row.
func goTimeText(t time.Time) string {
	var room [48]byte
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.Format(goTime)
	}
	hour, minute, second := t.Clock()
	b := room[:0]
	b = digits(b, year, 4)
	b = digits(append(b, '-'), int(month), 2)
	b = digits(append(b, '-'), day, 2)
	b = digits(append(b, ' '), hour, 2)
	b = digits(append(b, ':'), minute, 2)
	b = digits(append(b, ':'), second, 2)
	if ns := t.Nanosecond(); ns != 0 {
		b = digits(append(b, '.'), ns, 9)
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return string(append(b, " +0000 UTC"...))
}

func digits(b []byte, n, width int) []byte {
	b = append(b, "000000000"[:width]...)
	for i := len(b) - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// sqliteDefault is the form of CURRENT_TIMESTAMP.
const sqliteDefault = "2006-01-02 15:04:05"

func numbered(text string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$" + strconv.Itoa(n))
		text = after
	}
}

// timeOf scans a timestamp of either dialect.
type timeOf struct{ to *time.Time }

func (t timeOf) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t.to = time.Time{}
		return nil
	case time.Time:
		*t.to = v.UTC()
		return nil
	case []byte:
		return t.parse(string(v))
	case string:
		return t.parse(v)
	}
	return fmt.Errorf("a time is stored as %T", value)
}

func (t timeOf) parse(text string) error {
	text, _, _ = strings.Cut(text, " m=")
	for _, layout := range []string{goTime, sqliteDefault, time.RFC3339Nano} {
		if parsed, err := time.Parse(layout, text); err == nil {
			*t.to = parsed.UTC()
			return nil
		}
	}
	return fmt.Errorf("%q is no time", text)
}

// ulidOf scans a ULID, stored as 16 bytes or 26 characters. NULL is the zero id.
type ulidOf struct{ to *ulid.ULID }

func (u ulidOf) Scan(value any) error {
	*u.to = ulid.ULID{}
	var raw []byte
	switch v := value.(type) {
	case nil:
		return nil
	case []byte:
		raw = v
	case string:
		raw = []byte(v)
	default:
		return fmt.Errorf("a ULID is stored as %T", value)
	}
	if len(raw) == 16 {
		copy(u.to[:], raw)
		return nil
	}
	id, err := ulid.ParseStrict(string(raw))
	*u.to = id
	return err
}

// uuidOf scans a UUID, stored as text. NULL and ” are the zero id.
type uuidOf struct{ to *uuid.UUID }

func (u uuidOf) Scan(value any) error {
	*u.to = uuid.UUID{}
	if text, ok := value.(string); ok && strings.TrimSpace(text) == "" {
		return nil
	}
	return u.to.Scan(value)
}

// jsonOf scans a JSON column; SQL NULL is nil, JSON null is "null".
type jsonOf struct{ to *json.RawMessage }

func (j jsonOf) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*j.to = nil
	case []byte:
		*j.to = append(json.RawMessage{}, v...)
	case string:
		*j.to = json.RawMessage(v)
	default:
		return fmt.Errorf("JSON is stored as %T", value)
	}
	return nil
}

// textOf scans text that may be NULL, which is ”.
type textOf struct{ to *string }

func (t textOf) Scan(value any) error {
	var s sql.NullString
	err := s.Scan(value)
	*t.to = s.String
	return err
}

// The encoders of what is alike in both dialects.

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func (e encoding) uuidOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return e.uuid(id)
}

// uncopied is JSON as text. Rows do not change while they are written.
func uncopied(value json.RawMessage) string {
	return unsafe.String(unsafe.SliceData(value), len(value))
}

func jsonOrNull(value json.RawMessage) any {
	if value == nil {
		return nil
	}
	return uncopied(value)
}

// jsonText is for columns that say "null" as JSON.
func jsonText(value json.RawMessage) string {
	if value == nil {
		return "null"
	}
	return uncopied(value)
}

func (e encoding) timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return e.time(t)
}

// joined is a list of event ids as bytes.
func joined(ids []ulid.ULID) []byte {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return []byte(strings.Join(texts, ","))
}

// joinedOf scans what joined made.
type joinedOf struct{ to *[]ulid.ULID }

func (j joinedOf) Scan(value any) error {
	var text string
	if err := (textOf{&text}).Scan(value); err != nil {
		return err
	}
	*j.to = nil
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		id, err := ulid.ParseStrict(part)
		if err != nil {
			return fmt.Errorf("list of event ids: %w", err)
		}
		*j.to = append(*j.to, id)
	}
	return nil
}
