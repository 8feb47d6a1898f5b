package function

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"jetstep/expr"
)

// Config is a function as an SDK sends it (sdk-protocol §6.1).
type Config struct {
	ID          string                `json:"id"`
	Name        string                `json:"name"`
	Triggers    []TriggerConfig       `json:"triggers"`
	Steps       map[string]StepConfig `json:"steps"`
	Retries     *int                  `json:"retries"`
	Concurrency *Concurrency          `json:"concurrency"`
	Priority    *Priority             `json:"priority"`
	EventBatch  *EventBatch           `json:"batchEvents"`
	RateLimit   *RateLimit            `json:"rateLimit"`
	Idempotency string                `json:"idempotency"`
	Throttle    *ThrottleConfig       `json:"throttle"`
	Debounce    *Debounce             `json:"debounce"`
	Timeouts    *Timeouts             `json:"timeouts"`
	Cancel      []Cancel              `json:"cancel"`
	Singleton   *SingletonConfig      `json:"singleton"`
	Checkpoint  *CheckpointConfig     `json:"checkpoint"`
}

// TriggerConfig is a trigger as sent; an empty event differs from none.
type TriggerConfig struct {
	Event      *string `json:"event"`
	Expression string  `json:"expression"`
	Cron       string  `json:"cron"`
	Jitter     string  `json:"jitter"`
}

// StepConfig is the step that stands for the function's endpoint.
type StepConfig struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Runtime struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"runtime"`
	Retries *struct {
		Attempts *int `json:"attempts"` // retries, not attempts
	} `json:"retries"`
}

// ThrottleConfig refuses a throttle without a valid period when it is read.
type ThrottleConfig Throttle

// UnmarshalJSON reads the throttle and makes its period canonical.
func (t *ThrottleConfig) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*Throttle)(t)); err != nil {
		return err
	}
	period, err := expr.ParseDuration(t.Period)
	if err != nil {
		return err
	}
	t.Period = expr.FormatDuration(period)
	t.Limit = max(t.Limit, 1)
	return nil
}

// The modes of a singleton.
const (
	SingletonSkip   = "skip"
	SingletonCancel = "cancel"
)

// SingletonConfig refuses an unknown mode when it is read.
type SingletonConfig Singleton

// UnmarshalJSON reads the singleton; the default mode is skip.
func (s *SingletonConfig) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*Singleton)(s)); err != nil {
		return err
	}
	switch mode := strings.ToLower(s.Mode); mode {
	case "":
		s.Mode = SingletonSkip
	case SingletonSkip, SingletonCancel:
		s.Mode = mode
	default:
		return fmt.Errorf("%s does not belong to SingletonMode values", s.Mode)
	}
	return nil
}

// CheckpointConfig refuses durations that are neither text nor nanoseconds
// when it is read.
type CheckpointConfig Checkpoint

// UnmarshalJSON reads the settings.
func (c *CheckpointConfig) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*Checkpoint)(c)); err != nil {
		return err
	}
	for _, raw := range []json.RawMessage{c.BatchInterval, c.MaxRuntime} {
		if len(raw) == 0 || raw[0] != '"' {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		if _, err := expr.ParseDuration(text); err != nil && text != "" {
			return err
		}
	}
	return nil
}

// idempotencyPeriod is how long an idempotency expression holds.
const idempotencyPeriod = 24 * time.Hour

// function converts to the stored form, with the problems that it no longer shows.
func (c *Config) function() (Function, []Problem) {
	f := Function{
		Version:     1,
		Name:        c.Name,
		Slug:        c.ID,
		Priority:    c.Priority,
		Timeouts:    c.Timeouts,
		Concurrency: c.Concurrency,
		Debounce:    c.Debounce,
		Checkpoint:  (*Checkpoint)(c.Checkpoint),
		EventBatch:  c.EventBatch,
		RateLimit:   c.RateLimit,
		Throttle:    (*Throttle)(c.Throttle),
		Cancel:      c.Cancel,
		Singleton:   (*Singleton)(c.Singleton),
	}
	if f.Slug == "" {
		f.Slug = slugify(c.Name)
	}
	if c.Idempotency != "" {
		f.RateLimit = &RateLimit{Limit: 1, Period: idempotencyPeriod.String(), Key: c.Idempotency}
	}
	triggers, problems := c.triggers()
	f.Triggers = triggers
	steps, stepProblems := c.steps()
	f.Steps = steps
	f.ID = FunctionID(f.Name, f.URI())
	return f, append(problems, stepProblems...)
}

func (c *Config) triggers() ([]Trigger, []Problem) {
	triggers := make([]Trigger, 0, len(c.Triggers))
	var problems []Problem
	for _, t := range c.Triggers {
		trigger := Trigger{Expression: t.Expression, Cron: t.Cron, Jitter: t.Jitter}
		if t.Event != nil {
			trigger.Event = *t.Event
			if trigger.Event == "" && t.Cron == "" {
				problems = append(problems, Problem{Message: "An event trigger must specify an event name"})
				continue
			}
		}
		triggers = append(triggers, trigger)
	}
	return triggers, problems
}

func (c *Config) steps() ([]Step, []Problem) {
	var steps []Step
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(c.Steps)) {
		s := c.Steps[name]
		if s.Runtime.URL == "" {
			problems = append(problems, Problem{Message: fmt.Sprintf("No SDK URL provided for function '%s'", c.Name)})
		}
		step := Step{ID: s.ID, Name: s.Name, URI: NormalizeURL(s.Runtime.URL, false), Retries: c.Retries}
		if s.Retries != nil && s.Retries.Attempts != nil {
			step.Retries = s.Retries.Attempts
		}
		if step.Retries != nil {
			retries := min(*step.Retries, MaxRetries)
			step.Retries = &retries
		}
		steps = append(steps, step)
	}
	return steps, problems
}

// slugify makes the slug of a function that names none.
func slugify(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	return strings.Join(words, "-")
}

// schemeOf is the lower-case scheme of a URI, ok unless it is no URI.
func schemeOf(uri string) (scheme string, ok bool) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", false
	}
	return u.Scheme, true
}
