package search

import (
	"cmp"
	"encoding/json"
)

// Record is what a query looks at in a run.
type Record struct {
	Events  []Event
	Outputs []json.RawMessage // {"data":…} or {"error":…}
}

// Event is one event of a run.
type Event struct {
	ID, Name string
	Version  *string
	Time     int64 // milliseconds since 1970
	Data     json.RawMessage
}

// truth is a value of three-valued logic.
type truth int

const (
	unknown truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// Matches tells whether a run fulfils the query: with one of its events and one
// of its outputs, as far as the query looks at them.
func (q Query) Matches(r Record) bool {
	events, outputs := []*Event{nil}, []json.RawMessage{nil}
	if q.UsesEvents() {
		events = nil
		for i := range r.Events {
			events = append(events, &r.Events[i])
		}
	}
	if q.UsesOutputs() {
		outputs = r.Outputs
	}
	for _, event := range events {
		for _, output := range outputs {
			if (scope{event, output}).eval(And(q.All)) == yes {
				return true
			}
		}
	}
	return false
}

// scope is what one evaluation looks at; parts that the query does not use are
// nil.
type scope struct {
	event  *Event
	output json.RawMessage
}

func (s scope) eval(c Condition) truth {
	switch c := c.(type) {
	case And:
		result := yes
		for _, part := range c {
			result = min3(result, s.eval(part))
		}
		return result
	case Or:
		result := no
		for _, part := range c {
			result = negate(min3(negate(result), negate(s.eval(part))))
		}
		return result
	case Not:
		return negate(s.eval(c.Condition))
	case Comparison:
		return s.compare(c)
	default:
		return unknown
	}
}

func negate(t truth) truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	default:
		return unknown
	}
}

// min3 is the conjunction: false wins over unknown.
func min3(a, b truth) truth {
	switch {
	case a == no || b == no:
		return no
	case a == unknown || b == unknown:
		return unknown
	default:
		return yes
	}
}

func (s scope) compare(c Comparison) truth {
	found, ok := s.find(c)
	if !ok {
		return unknown
	}
	switch want := c.Value.(type) {
	case int64:
		return compareNumbers(found, c.Op, float64(want))
	case float64:
		return compareNumbers(found, c.Op, want)
	default: // string, bool and nil are compared for equality only
		equal := found == want
		return truthOf(equal == (c.Op == Equal))
	}
}

func compareNumbers(found any, op Op, want float64) truth {
	number, ok := found.(float64)
	if !ok {
		return truthOf(op == NotEqual)
	}
	order := cmp.Compare(number, want)
	switch op {
	case Equal:
		return truthOf(order == 0)
	case NotEqual:
		return truthOf(order != 0)
	case Less:
		return truthOf(order < 0)
	case LessOrEqual:
		return truthOf(order <= 0)
	case Greater:
		return truthOf(order > 0)
	default:
		return truthOf(order >= 0)
	}
}

// find is the value as encoding/json makes it; objects and lists are only not
// equal to anything.
func (s scope) find(c Comparison) (any, bool) {
	switch c.Subject {
	case EventID:
		return s.event.ID, true
	case EventName:
		return s.event.Name, true
	case EventVersion:
		if s.event.Version == nil {
			return nil, false
		}
		return *s.event.Version, true
	case EventTime:
		return float64(s.event.Time), true
	case EventData:
		return walk(s.event.Data, c.Path)
	case Output:
		return walk(s.output, append([]string{"data"}, c.Path...))
	default:
		return walk(s.output, append([]string{"error"}, c.Path...))
	}
}

// structured stands for objects and lists, which no constant equals.
type structured struct{}

func walk(raw json.RawMessage, path []string) (any, bool) {
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return nil, false
		}
		next, ok := object[key]
		if !ok {
			return nil, false
		}
		raw = next
	}
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return nil, false
	}
	switch value.(type) {
	case map[string]any, []any:
		return structured{}, true
	}
	return value, true
}
