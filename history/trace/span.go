package trace

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// span is what the rows with one dynamic id say together.
type span struct {
	id       string // the dynamic id
	traceID  string
	parentID string
	name     string
	first    Row // the earliest row, for what all of them share

	start      time.Time // attribute started_at, else of the earliest row
	attrs      attributes
	rows       []Row  // in the order in which they were merged
	outputFrom string // span id of the last row with an output, or empty
	inputFrom  string

	metadata []Metadata
	children []*span
}

func (s *span) isUserland() bool {
	return s.name == NameUserland || s.attrs.is(attrUserland)
}

func (s *span) isRoot() bool { return s.parentID == "" || s.parentID == NoParent }

func (s *span) attempt() int {
	n, _ := s.attrs.number(attrStepAttempt)
	return int(n)
}

// merge groups rows into spans (database §13.1, 1 and 2), earliest first.
func merge(rows []Row) []*span {
	type key struct{ run, trace, dynamic, parent string }
	groups := map[key][]Row{}
	var order []key
	for _, row := range rows {
		if row.DynamicID == "" {
			row.DynamicID = row.SpanID
		}
		k := key{row.RunID, row.TraceID, row.DynamicID, row.ParentID}
		if _, known := groups[k]; !known {
			order = append(order, k)
		}
		groups[k] = append(groups[k], row)
	}
	spans := make([]*span, 0, len(order))
	for _, k := range order {
		spans = append(spans, newSpan(groups[k]))
	}
	slices.SortStableFunc(spans, func(a, b *span) int {
		return cmp.Or(a.first.Start.Compare(b.first.Start), cmp.Compare(a.id, b.id))
	})
	return spans
}

func newSpan(rows []Row) *span {
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.SpanID, b.SpanID))
	})
	first := rows[0]
	s := &span{
		id: first.DynamicID, traceID: first.TraceID, parentID: first.ParentID, first: first,
		rows: rows, attrs: attributes{}, name: first.Name,
	}
	for _, row := range rows {
		s.attrs.overlay(parseAttributes(row.Attributes))
		if strings.HasPrefix(row.Name, executorPrefix) || row.Name == NameMetadata || row.Name == NameUserland {
			s.name = row.Name
		}
		if row.Output != nil {
			s.outputFrom = row.SpanID
		}
		if row.Input != nil {
			s.inputFrom = row.SpanID
		}
	}
	s.start = cmp.Or(s.attrs.moment(attrStartedAt), first.Start)
	return s
}

// Span is what all rows of one span say together, without its place in the tree.
type Span struct {
	ID            string          // the dynamic id
	Name          string          // database §11.2
	Start, End    time.Time       // the earliest and the latest of its rows
	Input, Output json.RawMessage // of the last row that has one
	attrs         attributes
}

// Spans merges rows into spans, earliest first.
func Spans(rows []Row) []Span {
	merged := merge(rows)
	spans := make([]Span, len(merged))
	for i, m := range merged {
		s := Span{ID: m.id, Name: m.name, Start: m.first.Start, attrs: m.attrs}
		for _, row := range m.rows {
			if row.End.After(s.End) {
				s.End = row.End
			}
			if len(row.Input) > 0 {
				s.Input = row.Input
			}
			if len(row.Output) > 0 {
				s.Output = row.Output
			}
		}
		spans[i] = s
	}
	return spans
}

// Text is an attribute that is a string, or empty. Keys are those of database
// §11.4 without their prefix.
func (s *Span) Text(key string) string { return s.attrs.text(key) }

// Number is an attribute that is an integer.
func (s *Span) Number(key string) (int64, bool) { return s.attrs.number(key) }

// Moment is an attribute that is a time, zero when absent.
func (s *Span) Moment(key string) time.Time { return s.attrs.moment(key) }
