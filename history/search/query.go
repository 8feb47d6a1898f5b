package search

// Query is what a run must fulfil: all of the conditions, for one and the same
// event of it. The zero Query admits every run.
type Query struct {
	All []Condition
}

// Condition is one of And, Or, Not and Comparison. Logic is that of SQL: a
// comparison with something that is not there is neither true nor false.
type Condition interface{ condition() }

// And holds when all of its parts do.
type And []Condition

// Or holds when one of its parts does.
type Or []Condition

// Not holds when its part is false, not when that is unknown.
type Not struct{ Condition Condition }

// Comparison compares a value of the run with a constant.
type Comparison struct {
	Subject Subject
	Path    []string // below the subject; empty for columns
	Op      Op
	Value   any // string, int64, float64, bool, or nil for null
}

func (And) condition()        {}
func (Or) condition()         {}
func (Not) condition()        {}
func (Comparison) condition() {}

// Subject is what a comparison looks at.
type Subject string

// The subjects. EventID, EventName and EventVersion are texts, EventTime is in
// milliseconds, and the others are JSON in which Path leads to the value.
const (
	EventID      Subject = "event.id"
	EventName    Subject = "event.name"
	EventVersion Subject = "event.v"
	EventTime    Subject = "event.ts"
	EventData    Subject = "event.data"
	Output       Subject = "output" // below the key data of outputs
	Error        Subject = "error"  // below the key error of outputs
)

// Op is a comparison operator.
type Op string

// The operators.
const (
	Equal          Op = "=="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
)

// UsesEvents tells whether a comparison looks at the event.
func (q Query) UsesEvents() bool {
	return q.uses(func(s Subject) bool { return s != Output && s != Error })
}

// UsesOutputs tells whether a comparison looks at outputs.
func (q Query) UsesOutputs() bool {
	return q.uses(func(s Subject) bool { return s == Output || s == Error })
}

func (q Query) uses(match func(Subject) bool) bool { return uses(And(q.All), match) }

func uses(c Condition, match func(Subject) bool) bool {
	switch c := c.(type) {
	case And:
		for _, part := range c {
			if uses(part, match) {
				return true
			}
		}
	case Or:
		return uses(And(c), match)
	case Not:
		return uses(c.Condition, match)
	case Comparison:
		return match(c.Subject)
	}
	return false
}
