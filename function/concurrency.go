package function

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// DefaultConcurrency is the limit of a function (and of the account) that
// names none, or one that is not positive (flow-control §2).
const DefaultConcurrency = 1000

// Scope is what a concurrency limit is counted over, in its stored spelling.
type Scope string

// The scopes of step limits. ScopeApp is refused from users.
const (
	ScopeFunction    Scope = "Fn"
	ScopeEnvironment Scope = "Env"
	ScopeAccount     Scope = "Account"
)

// StepLimit bounds the steps executing at once.
type StepLimit struct {
	Limit int    `json:"limit"`
	Key   string `json:"key,omitempty"` // expression; one limit per value
	Scope Scope  `json:"scope"`
	Hash  string `json:"hash"` // Hash of Key, "" without one
}

// Effective is the number of steps that may execute at once.
func (l StepLimit) Effective() int { return effective(l.Limit) }

func effective(limit int) int {
	if limit <= 0 {
		return DefaultConcurrency
	}
	return limit
}

// RunLimit bounds the runs in progress at once, waits and sleeps included.
type RunLimit struct {
	Limit int    `json:"limit"`
	Scope string `json:"scope,omitempty"`
	Key   string `json:"key,omitempty"` // expression; one limit per value
	ID    string `json:"id,omitempty"`  // Hash of Key, "" without one
}

// Effective is the number of runs that may be in progress at once.
func (l RunLimit) Effective() int { return effective(l.Limit) }

// Concurrency holds a function's concurrency limits. Steps is sorted by limit.
// Its zero value, which SDKs send as a JSON string or bool, is stored as null.
type Concurrency struct {
	Steps []StepLimit
	Runs  []RunLimit
}

// IsZero tells whether there is no limit at all; it accepts nil.
func (c *Concurrency) IsZero() bool {
	return c == nil || len(c.Steps)+len(c.Runs) == 0
}

// FunctionLimit is the number of steps of the function that may execute at
// once whatever their keys: its lowest unkeyed function limit. It accepts nil.
func (c *Concurrency) FunctionLimit() int {
	limit := DefaultConcurrency
	if c == nil {
		return limit
	}
	for _, l := range c.Steps {
		if l.Key == "" && l.Scope == ScopeFunction {
			return l.Effective() // sorted: the first is the lowest
		}
	}
	return limit
}

// Keyed returns the step limits that have a key, in stored order. It accepts nil.
func (c *Concurrency) Keyed() []StepLimit {
	if c == nil {
		return nil
	}
	var keyed []StepLimit
	for _, l := range c.Steps {
		if l.Key != "" {
			keyed = append(keyed, l)
		}
	}
	return keyed
}

// RunLimit returns the limit on runs in progress, if there is one. It accepts nil.
func (c *Concurrency) RunLimit() (limit RunLimit, ok bool) {
	if c == nil || len(c.Runs) == 0 {
		return RunLimit{}, false
	}
	return c.Runs[0], true
}

// splitConcurrency is the JSON form with limits on runs.
type splitConcurrency struct {
	Runs  []RunLimit  `json:"fn"`
	Steps []StepLimit `json:"step,omitempty"`
}

// MarshalJSON writes the stored form (sdk-protocol §6.3): an array of step
// limits, or, with limits on runs, an object of both.
func (c Concurrency) MarshalJSON() ([]byte, error) {
	if len(c.Runs) == 0 {
		return json.Marshal(c.Steps)
	}
	return json.Marshal(splitConcurrency{Runs: c.Runs, Steps: c.Steps})
}

// UnmarshalJSON reads the stored forms and all that SDKs send (sdk-protocol
// §6.1): a number, one limit, an array of limits, or {"fn":[…],"step":[…]}.
// Other JSON scalars give no limits. Limits come out sorted and hashed.
func (c *Concurrency) UnmarshalJSON(data []byte) error {
	*c = Concurrency{}
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return nil
	}
	switch data[0] {
	case '[':
		if err := json.Unmarshal(data, &c.Steps); err != nil {
			return err
		}
	case '{':
		if err := c.unmarshalObject(data); err != nil {
			return err
		}
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		limit := StepLimit{}
		if err := json.Unmarshal(data, &limit.Limit); err != nil {
			return err
		}
		c.Steps = []StepLimit{limit}
	}
	c.normalize()
	return nil
}

func (c *Concurrency) unmarshalObject(data []byte) error {
	var shape struct {
		Runs  json.RawMessage `json:"fn"`
		Steps json.RawMessage `json:"step"`
	}
	if err := json.Unmarshal(data, &shape); err != nil {
		return err
	}
	if shape.Runs == nil && shape.Steps == nil {
		var limit StepLimit
		if err := json.Unmarshal(data, &limit); err != nil {
			return err
		}
		c.Steps = []StepLimit{limit}
		return nil
	}
	var split splitConcurrency
	if err := json.Unmarshal(data, &split); err != nil {
		return err
	}
	c.Runs, c.Steps = split.Runs, split.Steps
	return nil
}

func (c *Concurrency) normalize() {
	for i := range c.Steps {
		limit := &c.Steps[i]
		if limit.Scope == "" {
			limit.Scope = ScopeFunction
		}
		limit.Hash = ExpressionHash(limit.Key)
	}
	for i := range c.Runs {
		if c.Runs[i].Key != "" { // an unkeyed one may have been named by an engine
			c.Runs[i].ID = Hash(c.Runs[i].Key)
		}
	}
	slices.SortStableFunc(c.Steps, func(a, b StepLimit) int { return cmp.Compare(a.Limit, b.Limit) })
}

// ExpressionHash is what a key expression is known by, "" without one.
func ExpressionHash(key string) string {
	if key == "" {
		return ""
	}
	return Hash(key)
}

// UnmarshalText reads a scope in any case.
func (s *Scope) UnmarshalText(text []byte) error {
	for _, scope := range []Scope{ScopeFunction, ScopeEnvironment, ScopeAccount} {
		if strings.EqualFold(string(text), string(scope)) {
			*s = scope
			return nil
		}
	}
	return fmt.Errorf("%s does not belong to ConcurrencyScope values", text)
}
