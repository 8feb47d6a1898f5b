package executor

import (
	"sync"

	"github.com/google/uuid"
)

// Limits are the step and state size limits of runs, which tests may override
// for single functions (sdk-protocol §14.8). Overrides end with the process.
type Limits struct {
	mu    sync.RWMutex
	steps map[uuid.UUID]int
	sizes map[uuid.UUID]int
}

// NewLimits are the default limits.
func NewLimits() *Limits {
	return &Limits{steps: map[uuid.UUID]int{}, sizes: map[uuid.UUID]int{}}
}

// Of are the limits of a function: steps, and bytes of state.
func (l *Limits) Of(fn uuid.UUID) (steps, size int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	steps, size = DefaultStepLimit, DefaultStateLimit
	if n, ok := l.steps[fn]; ok {
		steps = n
	}
	if n, ok := l.sizes[fn]; ok {
		size = n
	}
	return steps, size
}

// SetStepLimit overrides a function's step limit.
func (l *Limits) SetStepLimit(fn uuid.UUID, n int) { l.set(l.steps, fn, n) }

// SetStateSizeLimit overrides a function's state limit, in bytes.
func (l *Limits) SetStateSizeLimit(fn uuid.UUID, n int) { l.set(l.sizes, fn, n) }

// ClearStepLimit ends an override; ok is false when there was none.
func (l *Limits) ClearStepLimit(fn uuid.UUID) (ok bool) { return l.clear(l.steps, fn) }

// ClearStateSizeLimit ends an override; ok is false when there was none.
func (l *Limits) ClearStateSizeLimit(fn uuid.UUID) (ok bool) { return l.clear(l.sizes, fn) }

func (l *Limits) set(of map[uuid.UUID]int, fn uuid.UUID, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of[fn] = n
}

func (l *Limits) clear(of map[uuid.UUID]int, fn uuid.UUID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := of[fn]
	delete(of, fn)
	return ok
}
