package state

import (
	"github.com/google/uuid"
)

// flow is what a new run holds; a singleton only when no other run has it.
func (a *author) flow() *Flow {
	f := &Flow{Priority: a.rng.IntN(9) - 4, Keys: []FlowKey{{a.name("expr", 2), a.name("value", 3)}}, BatchID: a.ulid()}
	if key := a.gateKey(); a.coin() {
		if _, taken := a.index.Singleton(key); !taken {
			f.Singleton = &key
		}
	}
	return f
}

func (a *author) gateKey() GateKey { return GateKey{byte(a.rng.IntN(4))} }

// gate is a fact about flow control.
func (a *author) gate() Op {
	key := a.gateKey()
	switch a.rng.IntN(6) {
	case 0:
		return a.admit()
	case 1:
		return a.charge(key)
	case 2:
		return &DebouncePut{Debounce{key, a.ulid(), a.now + 5000, a.now + 9000, a.now, a.start()}}
	case 3:
		return &DebounceRemoved{key}
	case 4:
		return &RunSkipped{RunID: a.ulid(), FunctionID: uuid.UUID{1}, Reason: SkipPaused}
	}
	return a.batch(key)
}

func (a *author) admit() Op {
	r := a.run()
	if r == nil {
		return nil
	}
	return &RunAdmitted{r.ID}
}

// charge moves an arrival time on, as a rate that is counted does, or back, as
// one does that was relaxed.
func (a *author) charge(key GateKey) Op {
	tat, _ := a.index.Rate(key, a.now)
	tat = max(tat, float64(a.now)) + 333.3
	if a.rng.IntN(4) == 0 {
		tat = float64(a.now) + 33.3
	}
	return &RateCharged{key, tat, int64(tat)}
}

func (a *author) batch(key GateKey) Op {
	b, ok := a.index.Batch(key)
	switch {
	case !ok:
		s := a.start()
		return &BatchPut{Batch{key, a.ulid(), a.now + 5000, s, s.size()}}
	case len(b.Start.Events) > 5:
		return &BatchRemoved{key}
	}
	correlation := ""
	if a.coin() {
		correlation = "parent.step"
	}
	return &BatchAppended{key, b.ID, len(b.Start.Events), a.json(), a.ulid(), correlation}
}
