package gate

import (
	"fmt"
	"slices"

	"github.com/stretchr/testify/require"

	"jetstep/function"
	"jetstep/state"
)

// What the model asks of admissions and of jobs that wait, by counting.

// class is the same for jobs that are limited alike.
func (w *world) class(j *work) string {
	fn := &w.functions[j.run.fn]
	start, generation := w.seen(j).Start, w.limits
	if start {
		generation = -generation
	}
	if j.known == generation {
		return j.limitedAs
	}
	text := fmt.Sprint(j.run.fn)
	if fn.Throttle != nil && start {
		text += " throttle " + value(fn.Throttle.Key, j.run)
	}
	for _, l := range fn.Concurrency.Steps {
		text += " " + value(l.Key, j.run)
	}
	if l, ok := fn.Concurrency.RunLimit(); ok && start {
		text += " runs " + value(l.Key, j.run)
	}
	j.limitedAs, j.known = text, generation
	return text
}

func value(key string, r *life) string {
	if key == "" {
		return ""
	}
	if i := slices.IndexFunc(r.keys, func(k state.FlowKey) bool { return k.Expr == function.Hash(key) }); i >= 0 {
		return r.keys[i].Value
	}
	return function.Hash("false")
}

// refusal says why a job may not pass now, "" when it may.
func (w *world) refusal(j *work) string {
	fn := &w.functions[j.run.fn]
	if start := w.seen(j).Start; start && fn.Throttle != nil {
		emission, variance := pace(fn.Throttle)
		if max(w.tats[throttleKey(fn, j.run)], float64(w.now))+emission-variance > float64(w.now) {
			return "throttle"
		}
	}
	for _, l := range fn.Concurrency.Steps {
		if w.busy(l, j.run) >= l.Limit {
			return "concurrency"
		}
	}
	if l, ok := fn.Concurrency.RunLimit(); ok && w.seen(j).Start && w.inProgress(l, j.run) >= l.Limit {
		return "runs"
	}
	return ""
}

func pace(t *function.Throttle) (emission, variance float64) {
	period, err := t.Window()
	if err != nil {
		panic(err)
	}
	emission = float64(period.Milliseconds()) / float64(t.Limit)
	return emission, emission * float64(t.Limit+t.Burst)
}

func throttleKey(fn *function.Function, r *life) state.GateKey {
	k := Key{Kind: Throttled, Scope: function.ScopeFunction, Function: fn.ID}
	if fn.Throttle.Key != "" {
		k.Expr, k.Value = function.Hash(fn.Throttle.Key), value(fn.Throttle.Key, r)
	}
	return k.rateKey()
}

// busy counts the calls that a limit counts together with those of the run.
func (w *world) busy(limit function.StepLimit, r *life) (n int) {
	for _, f := range w.flying {
		counts := slices.ContainsFunc(w.functions[f.run.fn].Concurrency.Steps, func(l function.StepLimit) bool {
			return l.Scope == limit.Scope && l.Key == limit.Key && (l.Scope != function.ScopeFunction || f.run.fn == r.fn)
		})
		if counts && value(limit.Key, f.run) == value(limit.Key, r) {
			n++
		}
	}
	return n
}

func (w *world) inProgress(limit function.RunLimit, r *life) (n int) {
	for _, other := range w.runs {
		if other.fn == r.fn && other.placed && !other.over && value(limit.Key, other) == value(limit.Key, r) {
			n++
		}
	}
	return n
}

// admitted checks an admission, and calls.
func (w *world) admitted(a Admission) {
	w.admissions++
	i := slices.IndexFunc(w.held, func(j *work) bool { return j.ref == a.Ref })
	require.GreaterOrEqual(w, i, 0, "admitted what is not held")
	j := w.held[i]
	require.False(w, j.run.over, "admitted what is gone")
	require.Empty(w, w.refusal(j), "%s is over the limit", a.Job)
	for _, other := range w.held {
		if w.class(other) == w.class(j) {
			require.False(w, other.score() < j.score() || other.score() == j.score() && other.order < j.order, "out of order")
		}
	}
	fn := &w.functions[j.run.fn]
	require.Equal(w, fn.ID, a.Function)
	require.Equal(w, j.score(), a.Score)
	start := w.seen(j).Start
	_, limited := fn.Concurrency.RunLimit()
	require.Equal(w, start && (limited || fn.Throttle != nil), a.Charged)
	require.Equal(w, start && fn.Throttle != nil, a.Throttle != nil)
	if a.Throttle != nil {
		emission, _ := pace(fn.Throttle)
		require.Equal(w, throttleKey(fn, j.run), a.Throttle.Key)
		require.Equal(w, max(w.tats[a.Throttle.Key], float64(w.now))+emission, a.Throttle.TAT)
		w.tats[a.Throttle.Key] = a.Throttle.TAT
	}
	j.run.recorded = j.run.recorded || a.Charged
	j.run.placed = j.run.placed || start && limited
	require.True(w, w.gate.Admitted(a.Ref))
	w.held = slices.Delete(w.held, i, i+1)
	w.flying = append(w.flying, j)
	w.calls++
	j.call = w.calls
	call := j.call
	w.at(w.now+w.span(60_000), func() { w.answered(j, call) })
}
