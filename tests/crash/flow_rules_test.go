package crash_test

import (
	"fmt"
	"slices"
	"time"
)

// flowRules are what must hold for each function with flow control once all
// is quiet, besides what holds for every one of them: no event is in two runs,
// every run is whole and has ended in one way, and every event has a run
// unless its function may drop it. Limits on calls at the same time are
// checked as the calls come.
var flowRules = map[string][]flowRule{
	occupied:  {atMostAtOnce(runLimit)},
	throttled: {atMostIn("", throttleCapacity, throttleEmission)},
	limited:   {atMostIn(byKey, rateCapacity, rateEmission), droppedOverRate},
	gathered:  {inBatches},
	debounced: {afterPause},
	single:    {atMostAtOnce(1), skippedWhileAlive},
	replaced:  {cancelledByNext},
	hurried:   {cancelledAfter(startTimeout), cancelledUnstarted},
	shortened: {cancelledAfter(finishTimeout), cancelledAll},
}

// flowRule lists what is wrong with the runs of a function.
type flowRule func(l *flowLedger, function string) []string

// callLag is how much later than it was decided to start a run its first call
// may be made by a server that nobody kills, on a machine that is overloaded.
const callLag = 5 * time.Second

// byKeys are the runs of a function by their keys. With the expression "" all
// are of one.
func (l *flowLedger) livesByKey(function, expression string) map[string][]*life {
	byKeys := map[string][]*life{}
	for _, r := range l.livesOf(function) {
		k := ""
		if expression != "" {
			k = r.k
		}
		byKeys[k] = append(byKeys[k], r)
	}
	return byKeys
}

// atMostAtOnce counts the runs of a key that were between their first call and
// their last, as the app saw them.
func atMostAtOnce(limit int) flowRule {
	return func(l *flowLedger, function string) (wrong []string) {
		for k, lives := range l.livesByKey(function, byKey) {
			for _, r := range lives {
				alive := 0
				for _, other := range lives {
					if other.first != 0 && other.first <= r.first && r.first <= other.last {
						alive++
					}
				}
				if alive > limit {
					wrong = append(wrong, fmt.Sprintf("%s of key %q: %d runs at the same time when run %s of %v began", function, k, alive, r.id, r.numbers))
				}
			}
		}
		return wrong
	}
}

// atMostIn counts first calls: in any time there are as many as pass at once,
// and one more for each emission. A run whose server died between the decision
// and the call is called later than others that were decided after it, so no
// time is looked at that begins while a server is away.
func atMostIn(expression string, capacity int, emission time.Duration) flowRule {
	return func(l *flowLedger, function string) (wrong []string) {
		for k, lives := range l.livesByKey(function, expression) {
			var calls []time.Time
			for _, r := range lives {
				if r.first != 0 {
					calls = append(calls, r.began)
				}
			}
			slices.SortFunc(calls, time.Time.Compare)
			for i, from := range calls {
				if l.unsettled(from) {
					continue
				}
				for j := i + 1; j < len(calls); j++ {
					lasted := calls[j].Sub(from)
					if allowed := capacity + int((lasted+callLag)/emission); j-i+1 > allowed {
						wrong = append(wrong, fmt.Sprintf("%s of key %q: %d runs began within %v, from %s on", function, k, j-i+1, lasted, from.Format(time.TimeOnly)))
						break
					}
				}
			}
		}
		return wrong
	}
}

// unsettled tells whether a server was away at a time, or not long before.
func (l *flowLedger) unsettled(t time.Time) bool {
	return slices.ContainsFunc(l.outages, func(o span) bool {
		return o.meets(span{t.Add(-callLag), t})
	})
}

// droppedOverRate wants a dropped event to have been looked at when less than
// one emission had passed since another began a run.
func droppedOverRate(l *flowLedger, function string) (wrong []string) {
	lives := l.livesByKey(function, byKey)
	for k, sent := range l.sendings(function) {
		for _, s := range sent {
			if slices.ContainsFunc(lives[k], func(r *life) bool { return r.numbers[0] == s.n || r.began.After(s.from.Add(-rateEmission)) }) {
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s of key %q was dropped, although no run had begun for %v", s.key, k, rateEmission))
		}
	}
	return wrong
}

// inBatches wants the events of a key in their order, cut into batches that
// are full, or waited for that.
func inBatches(l *flowLedger, function string) (wrong []string) {
	for k, lives := range l.livesByKey(function, byKey) {
		previous := -1
		for _, r := range lives {
			if len(r.numbers) > batchSize {
				wrong = append(wrong, fmt.Sprintf("run %s has a batch of %d events", r.id, len(r.numbers)))
			}
			for _, n := range r.numbers {
				if n <= previous {
					wrong = append(wrong, fmt.Sprintf("%s of key %q: %d is in the batch %v of run %s, after %d", function, k, n, r.numbers, r.id, previous))
				}
				previous = n
			}
			if s := l.sent[key{function, r.numbers[0]}]; s != nil && len(r.numbers) < batchSize && r.began.Before(s.from.Add(batchTimeout).Truncate(time.Millisecond)) {
				wrong = append(wrong, fmt.Sprintf("run %s of the batch %v did not wait for further events", r.id, r.numbers))
			}
		}
	}
	return wrong
}

// afterPause wants a run to begin a period after its event at the earliest,
// and events to have been debounced away where many came at once. Whether a
// run was right to begin when the next event came, only the logs tell.
func afterPause(l *flowLedger, function string) (wrong []string) {
	lives := l.livesByKey(function, byKey)
	for k, sent := range l.sendings(function) {
		if len(sent) >= many && len(lives[k]) == len(sent) {
			wrong = append(wrong, fmt.Sprintf("%s of key %q: each of %d events has a run", function, k, len(sent)))
		}
	}
	for _, r := range l.livesOf(function) {
		s := l.sent[key{function, r.numbers[0]}]
		if s == nil {
			continue
		}
		if due := s.from.Add(debouncePeriod).Truncate(time.Millisecond); r.began.Before(due) {
			wrong = append(wrong, fmt.Sprintf("%s: run %s began %v too early", s.key, r.id, due.Sub(r.began)))
		}
	}
	return wrong
}

// many events cannot all be further apart than a debounce lasts.
const many = 10

// skippedWhileAlive wants an event without a run to have met an earlier one of
// its key: that run's end was announced after the event was sent.
func skippedWhileAlive(l *flowLedger, function string) (wrong []string) {
	lives := l.livesByKey(function, byKey)
	for k, sent := range l.sendings(function) {
		for _, s := range sent {
			if slices.ContainsFunc(lives[k], func(r *life) bool {
				return r.numbers[0] == s.n || r.numbers[0] < s.n && r.told.After(s.from)
			}) {
				continue
			}
			wrong = append(wrong, fmt.Sprintf("%s of key %q was skipped, although no run was alive", s.key, k))
		}
	}
	return wrong
}

// cancelledByNext wants runs to be cancelled only by a later event, which is
// never so for the last, and to make no call once a later run is at its end.
func cancelledByNext(l *flowLedger, function string) (wrong []string) {
	sent := l.sendings(function)
	for k, lives := range l.livesByKey(function, byKey) {
		for i, r := range lives {
			if r.status == "Cancelled" && !slices.ContainsFunc(sent[k], func(s *sending) bool { return s.n > r.numbers[0] && s.from.Before(r.told) }) {
				wrong = append(wrong, fmt.Sprintf("%s of key %q: run %s of %v was cancelled, but not by a later event", function, k, r.id, r.numbers))
			}
			for _, later := range lives[i+1:] {
				if later.result != 0 && later.result < r.last {
					wrong = append(wrong, fmt.Sprintf("%s of key %q: run %s of %v was called after run %s of %v had ended", function, k, r.id, r.numbers, later.id, later.numbers))
				}
			}
		}
	}
	return wrong
}

// cancelledAfter wants a run to be cancelled no sooner than a time after its
// event.
func cancelledAfter(timeout time.Duration) flowRule {
	return func(l *flowLedger, function string) (wrong []string) {
		for _, r := range l.livesOf(function) {
			s := l.sent[key{function, r.numbers[0]}]
			if r.status == "Cancelled" && s != nil && r.told.Before(s.from.Add(timeout).Truncate(time.Millisecond)) {
				wrong = append(wrong, fmt.Sprintf("%s: run %s was cancelled after %v", s.key, r.id, r.told.Sub(s.from)))
			}
		}
		return wrong
	}
}

// cancelledUnstarted wants nothing of a cancelled run to have been recorded.
func cancelledUnstarted(l *flowLedger, function string) (wrong []string) {
	for _, r := range l.livesOf(function) {
		if r.status == "Cancelled" && len(r.memos) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s %v: run %s was cancelled after it had started: %v", function, r.numbers, r.id, r.memos))
		}
	}
	return wrong
}

// cancelledAll wants no run to have ended otherwise.
func cancelledAll(l *flowLedger, function string) (wrong []string) {
	for _, r := range l.livesOf(function) {
		if r.status != "Cancelled" {
			wrong = append(wrong, fmt.Sprintf("%s %v: run %s ended as %s", function, r.numbers, r.id, r.status))
		}
	}
	return wrong
}
