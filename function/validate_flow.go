package function

import (
	"fmt"
	"time"

	"jetstep/expr"
)

// Bounds on flow control (flow-control §2).
const (
	minBatchSize       = 2
	minBatchTimeout    = time.Second
	minDebouncePeriod  = time.Second
	maxDebouncePeriod  = 7 * 24 * time.Hour
	maxRateLimitPeriod = 24 * time.Hour
)

func (f *Function) checkConcurrency(p *problems) {
	if f.Concurrency == nil {
		return
	}
	if len(f.Concurrency.Steps) > maxStepLimits {
		p.add(codeConcurrency, "There are more concurrency limits specified than the allowed max of: %d", maxStepLimits)
	}
	if len(f.Concurrency.Runs) > 1 {
		p.add(codeConcurrency, "Only one function concurrency limit is allowed")
	}
	for _, l := range f.Concurrency.Runs {
		l.check(p)
	}
	for _, l := range f.Concurrency.Steps {
		if l.Key == "" && l.Scope != ScopeFunction {
			p.add("", "A concurrency key must be specified for %s scoped limits", l.Scope)
		}
		if l.Key == "" {
			continue
		}
		if err := expr.Validate(l.Key, expr.PolicySyntax); err != nil {
			p.add("", "Invalid concurrency key '%s': %v", l.Key, err)
		}
	}
}

func (l RunLimit) check(p *problems) {
	if l.Limit <= 0 {
		p.add("", "function concurrency limit must be > 0")
	}
	switch l.Scope {
	case "", "fn":
	case "app":
		p.add("", "app-scoped function concurrency cannot be set by users")
	default:
		p.add("", "invalid function concurrency scope: %s", l.Scope)
	}
	if l.Key == "" {
		return
	}
	if err := expr.Validate(l.Key, expr.PolicySyntax); err != nil {
		p.add("", "invalid function concurrency key '%s': %v", l.Key, err)
	}
}

func (f *Function) checkBatch(p *problems) {
	b := f.EventBatch
	if b == nil {
		return
	}
	if b.MaxSize < minBatchSize {
		p.add(codeBatchSize, "batch size cannot be smaller than %d: %d", minBatchSize, b.MaxSize)
	}
	if timeout, err := b.Wait(); err != nil {
		p.add(codeBatchTime, "failed to parse time duration: %v", err)
	} else if timeout < minBatchTimeout {
		p.add(codeBatchTime, "batch timeout should be more than %s", minBatchTimeout)
	}
	if b.Key != "" {
		if err := expr.Validate(b.Key, expr.PolicyFull); err != nil {
			p.add(codeBatchKey, "batch key expression is invalid: %v", err)
		}
	}
	if b.If != "" {
		if err := expr.Validate(b.If, expr.PolicyFull); err != nil {
			p.add(codeBatchIf, "conditional batch expression is invalid %v", err)
		}
	}
}

func (f *Function) checkCombinations(p *problems) {
	if f.EventBatch == nil {
		return
	}
	if len(f.Cancel) > 0 {
		p.add(codeCombination, "Batching and cancellation are mutually exclusive")
	}
	if f.Debounce != nil {
		p.add(codeCombination, "Batching and debouncing are mutually exclusive")
	}
	if f.Singleton != nil {
		p.add(codeCombination, "Batching and singletons are mutually exclusive")
	}
	if f.Priority != nil && f.Priority.Run != "" {
		p.add("", "A function cannot specify Priority.Run and Batch together")
	}
}

func (f *Function) checkCancel(p *problems) {
	if len(f.Cancel) > maxCancels {
		p.add("", "This function exceeds the max number of cancellation events: %d", maxCancels)
	}
	for _, c := range f.Cancel {
		if c.If != "" {
			if err := expr.Validate(c.If, expr.PolicyRestrictive); err != nil {
				p.add("", "Cancellation expression is invalid: %v", err)
			}
		}
	}
}

// checkDebounce tells two problems of a period that cannot be read, as users
// are used to.
func (f *Function) checkDebounce(p *problems) {
	d := f.Debounce
	if d == nil {
		return
	}
	if d.Key != "" {
		if err := expr.Validate(d.Key, expr.PolicyFull); err != nil {
			p.add("", "Debounce expression is invalid: %v", err)
		}
	}
	period, err := expr.ParseDuration(d.Period)
	if err != nil {
		p.add("", "The debounce period of '%s' is invalid: %v", d.Period, err)
	}
	if period < minDebouncePeriod {
		p.add("", "The debounce period of '%s' is less than the min of: %s", d.Period, minDebouncePeriod)
	}
	if period > maxDebouncePeriod {
		p.add("", "The debounce period of '%s' is greater than the max of: %s", d.Period, maxDebouncePeriod)
	}
}

func (f *Function) checkRateLimit(p *problems) {
	r := f.RateLimit
	if r == nil {
		return
	}
	if r.Limit == 0 {
		p.add("", "limit must be greater than 0")
	}
	if r.Key != "" {
		if err := expr.Validate(r.Key, expr.PolicyFull); err != nil {
			p.add("", "key is invalid: %v", err)
		}
	}
	if r.Period == "" {
		p.add("", "period must be specified")
		return
	}
	if period, err := expr.ParseDuration(r.Period); err != nil {
		p.add("", "failed to parse time duration: %v", err)
	} else if period > maxRateLimitPeriod {
		p.add("", "period must be less than %s", maxRateLimitPeriod)
	} else if period <= 0 {
		p.add("", "period must be greater than 0")
	}
}

func (f *Function) checkPriority(p *problems) {
	if f.Priority == nil || f.Priority.Run == "" {
		return
	}
	if err := expr.Validate(f.Priority.Run, expr.PolicySyntax); err != nil {
		p.add("", "Priority.Run expression is invalid: %v", err)
	}
}

// checkTimeouts refuses what could not be applied to any run.
func (f *Function) checkTimeouts(p *problems) {
	if f.Timeouts == nil {
		return
	}
	for _, t := range []struct{ name, text string }{{"start", f.Timeouts.Start}, {"finish", f.Timeouts.Finish}} {
		if t.text == "" {
			continue
		}
		if _, err := expr.ParseDuration(t.text); err != nil {
			p.add("", "%s", fmt.Sprintf("The %s timeout of '%s' is invalid: %v", t.name, t.text, err))
		}
	}
}
