package queue

import "github.com/google/uuid"

// Depth is how many jobs of a function a line knows.
type Depth struct {
	Waiting int
	Out     int // taken out and not done
}

// Depths counts by function; those without jobs are left out.
func (r *Ready[T]) Depths() map[uuid.UUID]Depth {
	r.mu.Lock()
	defer r.mu.Unlock()
	depths := make(map[uuid.UUID]Depth, len(r.lines))
	for function, l := range r.lines {
		if d := (Depth{Waiting: len(l.jobs), Out: l.out}); d != (Depth{}) {
			depths[function] = d
		}
	}
	return depths
}
