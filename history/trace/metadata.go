package trace

import (
	"cmp"
	"encoding/json"
	"math/big"
	"slices"
	"strconv"
	"time"
)

// Metadata are key-value pairs of one kind that are attached to a span.
type Metadata struct {
	Scope     string // run, step, step_attempt, extended_trace, request
	Kind      string // such as inngest.timing
	Values    map[string]json.RawMessage
	UpdatedAt time.Time
}

// usageKind is what the reader computes itself: the size of a run's metadata.
const usageKind = "inngest.usage"

// timingKind is how long a request waited and took.
const timingKind = "inngest.timing"

// addTiming tells of a request what its times are, unless that is stored (graphql
// §14). What it waited for a limit is not told apart from what the server took.
func addTiming(s *span) {
	started, ended := s.attrs.moment(attrStartedAt), s.attrs.moment(attrEndedAt)
	if s.name != NameExecution || started.IsZero() || ended.IsZero() ||
		slices.ContainsFunc(s.metadata, func(m Metadata) bool { return m.Kind == timingKind }) {
		return
	}
	waited := time.Duration(0)
	if due := cmp.Or(s.attrs.moment(attrScheduledAt), s.attrs.moment(attrQueuedAt)); !due.IsZero() {
		waited = max(0, started.Sub(due))
	}
	s.metadata = append(s.metadata, Metadata{
		Scope: "request", Kind: timingKind, UpdatedAt: ended,
		Values: map[string]json.RawMessage{
			"network_total_ms": millis(ended.Sub(started)), "queue_delay_ms": millis(0),
			"system_latency_ms": millis(waited), "total_inngest_ms": millis(waited),
		},
	})
	sortMetadata(s.metadata)
}

func millis(d time.Duration) json.RawMessage { return strconv.AppendInt(nil, d.Milliseconds(), 10) }

// bytes is the size that counts for a run: of keys and raw values.
func (m *Metadata) bytes() int {
	total := 0
	for key, value := range m.Values {
		total += len(key) + len(value)
	}
	return total
}

// combine applies the rows of one metadata span in their order (database
// §13.1, 3). ok is false when nothing is left of it.
func combine(s *span) (m Metadata, ok bool) {
	m = Metadata{Values: map[string]json.RawMessage{}}
	for _, row := range s.rows {
		attrs := parseAttributes(row.Attributes)
		m.Scope = cmp.Or(attrs.text(attrMetaScope), m.Scope)
		m.Kind = cmp.Or(attrs.text(attrMetaKind), m.Kind)
		m.UpdatedAt = row.End
		m.apply(attrs.text(attrMetaOp), attrs.nested(attrMetaValues))
	}
	return m, m.Kind != ""
}

func (m *Metadata) apply(op string, raw json.RawMessage) {
	var values map[string]json.RawMessage
	if json.Unmarshal(raw, &values) != nil {
		return
	}
	if op == "set" {
		m.Values = map[string]json.RawMessage{}
	}
	for key, value := range values {
		switch op {
		case "delete":
			delete(m.Values, key)
		case "add":
			m.Values[key] = sum(m.Values[key], value)
		default:
			m.Values[key] = value
		}
	}
}

// sum adds two JSON numbers exactly as far as a double can show it; what is not
// a number yields to the other.
func sum(a, b json.RawMessage) json.RawMessage {
	x, okA := new(big.Float).SetString(string(a))
	y, okB := new(big.Float).SetString(string(b))
	switch {
	case !okB:
		return a
	case !okA:
		return b
	}
	total := x.Add(x, y)
	if n, exact := total.Int64(); exact == big.Exact {
		text, _ := json.Marshal(n)
		return text
	}
	f, _ := total.Float64()
	text, err := json.Marshal(f)
	if err != nil { // infinite
		return b
	}
	return text
}

func sortMetadata(all []Metadata) {
	slices.SortStableFunc(all, func(a, b Metadata) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Kind, b.Kind))
	})
}
