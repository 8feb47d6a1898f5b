package crash_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ledger knows every run that the app saw, and what was wrong with it.
type ledger struct {
	journal    reader
	runs       map[string]*run
	started    map[key][]*run
	repeated   int // executions of code that were not the first of their step
	late       int // calls that were made before others, and came after them
	violations []string
}

// key is what starts a run: there must be one for each.
type key struct {
	function string
	n        int
}

func (k key) String() string { return fmt.Sprintf("%s %d", k.function, k.n) }

// run is what the app saw of a run.
type run struct {
	id      string
	key     key
	calls   int
	memos   map[string]string      // as first seen
	brought map[string]string      // call that first had the memo
	ran     map[string][]execution // by step, in order
	result  map[string]string
	ends    map[string]*end // by run of audit that was told of it
}

// execution is one of a step's code.
type execution struct {
	by      string // its name, a ULID of its time
	request string // the call that it was part of, a ULID of its time
}

// before tells whether a ULID is of an earlier millisecond.
func before(a, b string) bool { return a[:10] < b[:10] }

func newLedger(path string) *ledger {
	return &ledger{journal: reader{path: path}, runs: map[string]*run{}, started: map[key][]*run{}}
}

// catchUp takes what is new in the journal in.
func (l *ledger) catchUp() error { return l.journal.next(l.add) }

func (l *ledger) violation(format string, args ...any) {
	l.violations = append(l.violations, fmt.Sprintf(format, args...))
}

func (l *ledger) run(id string) *run {
	r := l.runs[id]
	if r == nil {
		r = &run{id: id, memos: map[string]string{}, brought: map[string]string{}, ran: map[string][]execution{}, ends: map[string]*end{}}
		l.runs[id] = r
	}
	return r
}

func (l *ledger) add(e *entry) {
	if e.Mark != "" {
		return
	}
	if e.Function == audit {
		l.run(e.Ended.Run).ends[e.Run] = e.Ended
		return
	}
	r := l.run(e.Run)
	if k := (key{e.Function, e.N}); r.calls == 0 {
		r.key = k
		l.started[k] = append(l.started[k], r)
	} else if r.key != k {
		l.violation("run %s is of %s and of %s", r.id, r.key, k)
	}
	r.calls++
	l.addMemos(r, e)
	if e.Ran != "" {
		r.ran[e.Ran] = append(r.ran[e.Ran], execution{e.By, e.Request})
		if len(r.ran[e.Ran]) > 1 {
			l.repeated++
		}
	}
	if e.Result != nil {
		r.result = text(e.Result)
	}
}

// addMemos compares what a call brought with what earlier calls had. As the
// app does the first step without a memo, code cannot run once its memo was
// seen, unless the memo is lost.
func (l *ledger) addMemos(r *run, e *entry) {
	got := text(e.Memos)
	late := false
	for id, memo := range r.memos {
		switch again, ok := got[id]; {
		case !ok && r.olderThan(id, e.Request):
			late = true
		case !ok:
			l.violation("%s, run %s: request %s lacks the memo of step %s: %s", r.key, r.id, e.Request, id, memo)
		case again != memo:
			l.violation("%s, run %s: request %s has changed the memo of step %s from %s to %s", r.key, r.id, e.Request, id, memo, again)
		}
	}
	if late {
		l.late++
	}
	for id, memo := range got {
		if _, known := r.memos[id]; !known {
			r.memos[id], r.brought[id] = memo, e.Request
			l.checkOrigin(r, id, memo)
		}
	}
}

// olderThan tells whether a call was made before the outcome of a step was
// there at all: its server was frozen with the request in its hands. When an
// op had an outcome is only known from the calls that brought it.
func (r *run) olderThan(id, request string) bool {
	if !isCode(r.key.function, id) {
		return before(request, r.brought[id])
	}
	recorded, ok := origin(r, id)
	return ok && before(request, recorded.by)
}

// origin finds the execution that a memo is of.
func origin(r *run, id string) (execution, bool) {
	for _, e := range r.ran[id] {
		if r.memos[id] == fmt.Sprintf(`{"data":{"by":%q,"n":%d}}`, e.by, r.key.n) {
			return e, true
		}
	}
	return execution{}, false
}

// checkOrigin wants the memo of code to be what its last execution returned:
// were it that of an earlier one, the last was made although an outcome was
// recorded. Executions by calls that were made earlier do not count.
func (l *ledger) checkOrigin(r *run, id, memo string) {
	if !isCode(r.key.function, id) {
		return
	}
	recorded, ok := origin(r, id)
	if !ok {
		l.violation("%s, run %s: step %s never returned its memo %s", r.key, r.id, id, memo)
		return
	}
	executions := r.ran[id]
	for _, later := range executions[slices.Index(executions, recorded)+1:] {
		if !before(later.request, recorded.by) {
			l.violation("%s, run %s: step %s ran by request %s after its outcome %s was recorded", r.key, r.id, id, later.request, memo)
		}
	}
}

func isCode(function, id string) bool {
	return slices.ContainsFunc(scripts[function].steps, func(s step) bool { return s.id == id && s.op == nil })
}

// open tells for each key why it has not ended; audit has to know, too.
func (l *ledger) open(keys map[key]bool) []string {
	var why []string
	for k := range keys {
		switch runs := l.started[k]; {
		case len(runs) == 0:
			why = append(why, k.String()+" has no run")
		case runs[0].result == nil:
			why = append(why, fmt.Sprintf("%s: run %s has not ended after %d calls, with the memos %v", k, runs[0].id, runs[0].calls, runs[0].memos))
		case len(runs[0].ends) == 0:
			why = append(why, fmt.Sprintf("%s: the end of run %s was not announced", k, runs[0].id))
		}
	}
	return why
}

// verdict lists everything that is wrong once all is quiet: required keys have
// one completed run, optional ones at most one, and there are no others.
func (l *ledger) verdict(required, optional map[key]bool) []string {
	wrong := slices.Clone(l.violations)
	wrong = append(wrong, l.open(required)...)
	for k, runs := range l.started {
		if !required[k] && !optional[k] {
			wrong = append(wrong, k.String()+" was never sent")
		}
		if len(runs) > 1 {
			wrong = append(wrong, fmt.Sprintf("%s has %d runs", k, len(runs)))
		}
	}
	for _, r := range l.runs {
		wrong = append(wrong, r.wrongs()...)
	}
	return wrong
}

func (r *run) wrongs() (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s, run %s: ", r.key, r.id)+fmt.Sprintf(format, args...))
	}
	if r.calls == 0 {
		say("it ended, but was never called")
		return wrong
	}
	for id := range r.ran {
		if _, ok := r.memos[id]; !ok {
			say("the outcome of step %s was never recorded", id)
		}
	}
	if !maps.Equal(r.result, r.memos) {
		say("its result is %v, its memos are %v", r.result, r.memos)
	}
	if len(r.ends) != 1 {
		say("its end was announced to %d runs", len(r.ends))
	}
	for _, e := range r.ends {
		announced := map[string]json.RawMessage{}
		if err := json.Unmarshal(e.Result, &announced); err != nil {
			say("its end was announced with the result %s: %v", e.Result, err)
		}
		if e.Status != "Completed" || !maps.Equal(text(announced), r.result) {
			say("its end was announced with status %s and result %s", e.Status, e.Result)
		}
	}
	return wrong
}

// text is the memos in a form to compare.
func text(memos map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(memos))
	for id, memo := range memos {
		var b bytes.Buffer
		if err := json.Compact(&b, memo); err != nil {
			b.Reset()
			b.WriteString("not JSON: " + string(memo))
		}
		out[id] = b.String()
	}
	return out
}

// atMost is the first lines of a long list.
func atMost(n int, lines []string) string {
	if len(lines) > n {
		lines = append(slices.Clone(lines[:n]), fmt.Sprintf("… and %d more", len(lines)-n))
	}
	return strings.Join(lines, "\n")
}
