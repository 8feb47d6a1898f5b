package trace

import (
	"cmp"
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
