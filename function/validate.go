package function

import (
	"fmt"
	"strings"

	"jetstep/expr"
)

// Problem is one thing wrong with a function's configuration.
type Problem struct {
	Function string // slug
	Code     string // of the coded ones, such as "batch_size_invalid"
	Message  string // sdk-protocol §6.2
}

// ValidationError holds all problems of all functions of a registration.
type ValidationError struct {
	Problems []Problem
}

// Error is the text kept as the app's error (flow-control §5.3).
func (e *ValidationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d errors occurred:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString(" * " + p.Message)
	}
	return b.String()
}

// Validate checks that the function can be scheduled and called. The error is
// a *ValidationError.
func (f *Function) Validate() error {
	problems := f.problems()
	if len(problems) == 0 {
		return nil
	}
	for i := range problems {
		problems[i].Function = f.Slug
	}
	return &ValidationError{Problems: problems}
}

func (f *Function) problems() []Problem {
	var p problems
	if f.Name == "" {
		p.add("", "A function name is required")
	}
	f.checkSteps(&p)
	f.checkTriggers(&p)
	f.checkConcurrency(&p)
	f.checkBatch(&p)
	f.checkCombinations(&p)
	f.checkCancel(&p)
	f.checkDebounce(&p)
	f.checkRateLimit(&p)
	f.checkPriority(&p)
	f.checkTimeouts(&p)
	return p
}

// problems collects what is wrong.
type problems []Problem

func (p *problems) add(code, format string, args ...any) {
	*p = append(*p, Problem{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (f *Function) checkSteps(p *problems) {
	if len(f.Steps) != 1 {
		p.add("", "Functions must contain one step")
	}
	for _, s := range f.Steps {
		if s.Name == "" {
			p.add("", "All steps must have a name")
		}
		if s.URI == "" {
			continue // told when it was converted
		}
		switch scheme, ok := schemeOf(s.URI); {
		case !ok:
			p.add("", "Steps must have a valid URI")
		case scheme != "http" && scheme != "https" && scheme != "ws" && scheme != "wss":
			p.add("", "Non-supported step schema: %s", scheme)
		}
	}
}

// The codes of problems that have one, as stored data and the UI know them.
const (
	codeEventName   = "event_name_invalid"
	codeSchedule    = "schedule_invalid"
	codeConcurrency = "concurrency_limit_invalid"
	codeBatchSize   = "batch_size_invalid"
	codeBatchTime   = "batch_timeout_invalid"
	codeBatchKey    = "batch_key_expression_invalid"
	codeBatchIf     = "batch_if_expression_invalid"
	codeCombination = "combo_unsupported"
)

// Limits on the length of a configuration (flow-control §2).
const (
	maxTriggers      = 10
	maxTriggerLength = 255
	maxCancels       = 5
	maxStepLimits    = 2
)

func (f *Function) checkTriggers(p *problems) {
	if len(f.Triggers) > maxTriggers {
		p.add("", "This function exceeds the max number of triggers: %d", maxTriggers)
	}
	seen := map[Trigger]bool{}
	for _, t := range f.Triggers {
		t.check(p)
		if seen[Trigger{Event: t.Event, Cron: t.Cron}] {
			if t.IsCron() {
				p.add("", "duplicate cron expression: %s", t.Cron)
			} else if t.Event != "" {
				p.add("", "duplicate trigger event: %s", t.Event)
			}
		}
		seen[Trigger{Event: t.Event, Cron: t.Cron}] = true
	}
}

func (t Trigger) check(p *problems) {
	switch {
	case t.Event == "" && t.Cron == "":
		p.add("", "A trigger must supply an event name or a cron schedule")
	case t.Event != "" && t.Cron != "":
		p.add("", "A trigger cannot have both an event and a cron trigger")
	case t.IsCron():
		t.checkCron(p)
	default:
		if len(t.Event) > maxTriggerLength {
			p.add(codeEventName, "event name is too long. maximum length is %d characters", maxTriggerLength)
		}
		if t.Expression == "" {
			return
		}
		if err := expr.Validate(t.Expression, expr.PolicyFull); err != nil {
			p.add("", "invalid trigger expression on '%s': %v", t.Event, err)
		}
	}
}

func (t Trigger) checkCron(p *problems) {
	if len(t.Cron) > maxTriggerLength {
		p.add(codeSchedule, "cron is too long. maximum length is %d characters", maxTriggerLength)
		return
	}
	if _, err := expr.ParseCron(t.Cron); err != nil {
		p.add("", "'%s' isn't a valid cron schedule", t.Cron)
	}
	jitter, err := t.MaxJitter()
	switch {
	case err != nil:
		p.add("", "'%s' isn't a valid jitter duration", t.Jitter)
	case jitter < 0:
		p.add("", "cron jitter must be greater than or equal to zero")
	case jitter > 0 && jitter < MinCronJitter:
		p.add("", "cron jitter must be at least %s", MinCronJitter)
	case jitter > MaxCronJitter:
		p.add("", "cron jitter must be less than or equal to %s", MaxCronJitter)
	}
}
