package executor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"jetstep/executor/driver"
	"jetstep/state"
)

// tell says what a user should know about a call: that it, or a step, failed
// and why, whether it is tried again and when.
func (e *Executor) tell(s *situation, answer *driver.Response, t *state.Transition, trouble error) {
	about := func(err error) []any {
		return []any{
			"run_id", s.run.ID, "function_id", s.function.Slug, "attempt", s.job.Attempt,
			"error", shorten(err.Error()), "url", s.function.URI(),
		}
	}
	switch {
	case trouble == nil:
		if s.job.Attempt > 0 {
			e.OnTrouble(s.run.ID, "")
		}
		for i := range answer.Ops {
			if op := &answer.Ops[i]; op.Error != nil {
				e.log.Warn("step failed", about(stepTrouble(op))...)
			}
		}
	case t.Then == state.JobRetry:
		e.OnTrouble(s.run.ID, fmt.Sprintf("attempt %d of %d failed: %s", s.job.Attempt+1, s.attempts, shorten(trouble.Error())))
		e.log.Warn("attempt failed; it is tried again", append(about(trouble), "retry_at", time.UnixMilli(t.RetryAt).UTC())...)
	default:
		e.log.Warn("run failed", about(trouble)...)
	}
}

// functionTrouble says what a function's error object says, in one line.
func functionTrouble(e *driver.RunError) error {
	text := e.Name + ": " + e.Message
	if e.Error != "" && e.Error != e.Message && e.Error != e.Name {
		text += " (" + e.Error + ")"
	}
	return errors.New(text)
}

// stepTrouble says which step failed with what.
func stepTrouble(op *driver.Opcode) error {
	return fmt.Errorf("step %q: %s: %s", op.DisplayNameOrFallback(), op.Error.Name, op.Error.Message)
}

// maxTold is how much of an error goes into the log, in bytes: the whole is in
// the run's output.
const maxTold = 1000

func shorten(text string) string {
	if len(text) <= maxTold {
		return text
	}
	return strings.ToValidUTF8(text[:maxTold], "") + "\u2026"
}
