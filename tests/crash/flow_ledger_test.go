package crash_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// flowLedger knows what happened to the events of functions with flow control:
// what was sent when, the runs, and how many calls were under way at a time.
// What holds for every run, the ledger in it knows.
type flowLedger struct {
	*ledger
	lives  map[string]*life
	at     int                            // how many lines of the journal were read
	flight map[string]map[string]struct{} // calls under way, by what limits them
	most   map[string]int                 // how many there were at most
	seen   map[key]string                 // runs of witness that tell of an event

	mu   sync.Mutex
	sent map[key]*sending

	outages []span
	// takeover is since when another server has had the work of one that was
	// frozen: calls made earlier that come later are none of the limits'.
	takeover time.Time
}

// span is from one time to another.
type span struct{ from, to time.Time }

func (s span) meets(t span) bool { return !s.from.After(t.to) && !t.from.After(s.to) }

// sending is an event that was accepted: the request was first made at the
// beginning of the span, and had been answered at its end. The events of a key
// are sent one after the other, with rising numbers.
type sending struct {
	key
	k string
	span
}

// life is a run of a function with flow control.
type life struct {
	*run
	function string
	k        string
	numbers  []int // of its events
	// first and last are the lines of its first and its last call, and result
	// of the first that ended it, 0 for none.
	first, last, result int
	began               time.Time // when the server made the first call
	told                time.Time // when the app first knew of its end, zero for not yet
	status              string
}

func newFlowLedger(l *ledger) *flowLedger {
	return &flowLedger{
		ledger: l, lives: map[string]*life{}, flight: map[string]map[string]struct{}{}, most: map[string]int{},
		seen: map[key]string{}, sent: map[key]*sending{},
	}
}

// note takes an event in that was accepted.
func (l *flowLedger) note(s *sending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[s.key] = s
}

// sendings are the accepted events of a function by their keys, in order.
func (l *flowLedger) sendings(function string) map[string][]*sending {
	l.mu.Lock()
	defer l.mu.Unlock()
	byKey := map[string][]*sending{}
	for _, s := range l.sent {
		if s.function == function {
			byKey[s.k] = append(byKey[s.k], s)
		}
	}
	for _, of := range byKey {
		slices.SortFunc(of, func(a, b *sending) int { return a.n - b.n })
	}
	return byKey
}

// catchUp takes what is new in the journal in.
func (l *flowLedger) catchUp() error { return l.journal.next(l.add) }

// successor is told that a server is about to start. Calls that its
// predecessor left in the app are not its own.
func (l *flowLedger) successor() error {
	if err := l.catchUp(); err != nil {
		return err
	}
	clear(l.flight)
	return nil
}

// takenOver is told that the work of a server that was frozen at a time is
// another's now.
func (l *flowLedger) takenOver(frozen time.Time) error {
	err := l.catchUp()
	l.takeover = frozen
	return err
}

func (l *flowLedger) add(e *entry) {
	l.at++
	switch {
	case e.Mark == opened:
		clear(l.flight)
	case e.Mark == answered:
		for _, calls := range l.flight {
			delete(calls, e.Of)
		}
	case e.Mark == alone:
		l.violation("calls that wait for the meeting %s were never together", e.Of)
	default:
		l.ledger.add(e)
		l.addCall(e)
	}
}

func (l *flowLedger) addCall(e *entry) {
	switch {
	case e.Function == audit:
		l.addEnd(e)
	case e.Function == witness:
		l.addSight(key{strings.TrimPrefix(e.Event, flowEvents), e.N}, e)
	case e.Call != "" && !madeAt(e.Request).Before(l.takeover):
		l.addFlight(e)
		l.addLife(e)
	}
}

func (l *flowLedger) addSight(k key, e *entry) {
	switch before, again := l.seen[k]; {
	case !again:
		l.seen[k] = e.Run
	case before != e.Run:
		l.violation("%s was looked at by the runs %s and %s", k, before, e.Run)
	}
}

func (l *flowLedger) life(id, function string, n int, k string) *life {
	r := l.lives[id]
	if r == nil {
		r = &life{run: l.run(id), function: function, k: k, numbers: []int{n}}
		l.lives[id] = r
	}
	return r
}

func (l *flowLedger) addEnd(e *entry) {
	if flows[e.Ended.Function].steps == nil {
		return
	}
	if r := l.life(e.Ended.Run, e.Ended.Function, e.Ended.N, e.Ended.K); r.told.IsZero() {
		r.told, r.status = e.At, e.Ended.Status
	}
}

func (l *flowLedger) addLife(e *entry) {
	r := l.life(e.Run, e.Function, e.N, e.K)
	switch {
	case r.first == 0:
		r.first, r.began, r.numbers = l.at, madeAt(e.Request), e.Batch
	case !slices.Equal(r.numbers, e.Batch):
		l.violation("run %s was called with the events %v and with %v", r.id, r.numbers, e.Batch)
	}
	if r.last = l.at; e.Result != nil && r.result == 0 {
		r.result = l.at
	}
}

// madeAt is when the server made a call, by the name of the request.
func madeAt(request string) time.Time {
	id, err := ulid.Parse(request)
	if err != nil {
		return time.Time{}
	}
	return ulid.Time(id.Time())
}

// addFlight counts a call for each limit on calls that its function has.
func (l *flowLedger) addFlight(e *entry) {
	for name, limit := range callLimits(e.Function, e.K) {
		calls := l.flight[name]
		if calls == nil {
			calls = map[string]struct{}{}
			l.flight[name] = calls
		}
		calls[e.Call] = struct{}{}
		l.most[name] = max(l.most[name], len(calls))
		if len(calls) > limit {
			l.violation("%s: %d calls at the same time, the last is of run %s", name, len(calls), e.Run)
		}
	}
}

// callLimits are the limits on calls at the same time, by the names of what
// they count.
func callLimits(function, k string) map[string]int {
	switch function {
	case keyed:
		return map[string]int{keyed + " " + k: keyLimit}
	case bounded:
		return map[string]int{bounded + " " + k: keyLimit, bounded: allLimit}
	case sharedA, sharedB:
		return map[string]int{sharedA + " and " + sharedB: pairLimit}
	case hurried:
		return map[string]int{hurried: 1}
	}
	return nil
}

// livesOf are the runs of a function in the order of their first events.
func (l *flowLedger) livesOf(function string) []*life {
	var of []*life
	for _, r := range l.lives {
		if r.function == function {
			of = append(of, r)
		}
	}
	slices.SortFunc(of, func(a, b *life) int {
		return cmp.Or(a.numbers[0]-b.numbers[0], strings.Compare(a.id, b.id))
	})
	return of
}

// unseen are the events that were not looked at yet.
func (l *flowLedger) unseen() (why []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.sent {
		if _, ok := l.seen[k]; !ok {
			why = append(why, k.String()+" was not looked at")
		}
	}
	return why
}

// pending tells what has not ended yet: events that were not looked at, runs,
// and events whose run has not begun.
func (l *flowLedger) pending() []string {
	why := l.unseen()
	for function := range flows {
		lives := map[int]*life{}
		for _, r := range l.livesOf(function) {
			if r.told.IsZero() {
				why = append(why, fmt.Sprintf("%s: the end of run %s of %v was not announced after %d calls", function, r.id, r.numbers, r.run.calls))
			}
			for _, n := range r.numbers {
				lives[n] = r
			}
		}
		for k, sent := range l.sendings(function) {
			for i, s := range sent {
				if _, ok := lives[s.n]; !ok && mustRun(function, i == len(sent)-1) {
					why = append(why, fmt.Sprintf("%s of key %q has no run", s.key, k))
				}
			}
		}
	}
	return why
}

// mustRun tells whether an event must have a run, wherever it is in the order
// of its key, or only if it is the last.
func mustRun(function string, last bool) bool {
	switch function {
	case limited, single:
		return false
	case debounced:
		return last
	}
	return true
}

// wholeVerdict lists everything that is wrong once all is quiet.
func (l *flowLedger) wholeVerdict() []string {
	wrong := slices.Concat(l.violations, l.pending())
	for _, function := range slices.Sorted(maps.Keys(flows)) {
		wrong = append(wrong, l.wrongRuns(function)...)
		for _, rule := range flowRules[function] {
			wrong = append(wrong, rule(l, function)...)
		}
	}
	return wrong
}

// wrongRuns wants every event to be in one run at most, and every run to be of
// events that were sent, to be whole, and to end in one way.
func (l *flowLedger) wrongRuns(function string) (wrong []string) {
	owners := map[int]string{}
	for _, r := range l.livesOf(function) {
		for _, n := range r.numbers {
			k := key{function, n}
			switch s := l.sent[k]; {
			case s == nil:
				wrong = append(wrong, k.String()+" was never sent")
			case s.k != r.k:
				wrong = append(wrong, fmt.Sprintf("%s of key %q is in run %s of key %q", k, s.k, r.id, r.k))
			}
			if owner, taken := owners[n]; taken {
				wrong = append(wrong, fmt.Sprintf("%s is in the runs %s and %s", k, owner, r.id))
			}
			owners[n] = r.id
		}
		if mayBeCancelled(function) && r.status == "Cancelled" {
			wrong = append(wrong, r.wrongCancel()...)
		} else {
			wrong = append(wrong, r.wrongs()...)
		}
	}
	return wrong
}

func mayBeCancelled(function string) bool {
	return function == replaced || function == hurried || function == shortened
}

// wrongCancel wants the end of a cancelled run to be announced once.
func (r *life) wrongCancel() (wrong []string) {
	if len(r.ends) != 1 {
		wrong = append(wrong, fmt.Sprintf("%s %v, run %s: its end was announced to %d runs", r.function, r.numbers, r.id, len(r.ends)))
	}
	for _, e := range r.ends {
		if e.Status != r.status {
			wrong = append(wrong, fmt.Sprintf("%s %v, run %s: it ended as %s and as %s", r.function, r.numbers, r.id, r.status, e.Status))
		}
	}
	return wrong
}
