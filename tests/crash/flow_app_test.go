package crash_test

import (
	"sync"
	"time"
)

// meetTimeout is after which calls give up waiting for each other.
const meetTimeout = 20 * time.Second

// meet asks a call to wait until so many calls that ask for the same are under
// way at the same time.
type meet struct {
	Name string `json:"name"`
	Size int    `json:"size"`
}

// meetings lets calls wait for each other: a limit that is smaller than it
// should be, because what once ended still counts, keeps them apart.
type meetings struct {
	mu  sync.Mutex
	all map[string]*meeting
}

type meeting struct {
	here int // calls that came and did not give up
	met  bool
	full chan struct{} // closed once all were here
}

// join tells whether the meeting came about; once it did, no one waits.
func (m *meetings) join(with *meet, timeout time.Duration) bool {
	of := m.enter(with)
	select {
	case <-of.full:
		return true
	case <-time.After(timeout):
		return m.leave(of)
	}
}

func (m *meetings) enter(with *meet) *meeting {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.all[with.Name]
	if of == nil {
		of = &meeting{full: make(chan struct{})}
		if m.all == nil {
			m.all = map[string]*meeting{}
		}
		m.all[with.Name] = of
	}
	if of.here++; of.here >= with.Size && !of.met {
		of.met = true
		close(of.full)
	}
	return of
}

func (m *meetings) leave(of *meeting) (met bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	of.here--
	return of.met
}

// flow spends the time that a call of a function with flow control takes, and
// marks its end.
func (a *app) flow(req *request, note *entry) error {
	if with := req.Event.Data.Meet; with != nil && note.Ran == "a" && !a.meetings.join(with, meetTimeout) {
		if err := a.journal.write(&entry{Mark: alone, Of: with.Name}); err != nil {
			return err
		}
	}
	time.Sleep(flowDuration(note.N))
	return a.journal.write(&entry{Mark: answered, Of: note.Call})
}

// numbers are those of all events of a call's run.
func (r *request) numbers() []int {
	numbers := make([]int, len(r.Events))
	for i, e := range r.Events {
		numbers[i] = e.Data.N
	}
	return numbers
}
