package function

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// Control is what people decided about a function while it is registered. It
// is kept beside the app, so that registering again does not undo it.
type Control struct {
	FunctionID uuid.UUID `json:"function_id"`
	// Paused tells that starts make no runs; those that there are go on.
	Paused        bool           `json:"paused,omitempty"`
	Cancellations []Cancellation `json:"cancellations,omitempty"` // oldest first
}

// Cancellation cancels all runs of a function that were started in a span of
// time, and fit an expression if there is one (flow-control §18.3).
type Cancellation struct {
	ID         ulid.ULID `json:"id"`
	FunctionID uuid.UUID `json:"function_id"`
	// StartedAfter bounds the time of the run's id, zero for no bound. So does
	// StartedBefore; both bounds are inclusive.
	StartedAfter  time.Time `json:"started_after,omitzero"`
	StartedBefore time.Time `json:"started_before"`
	// If is an expression on the run's first event, "event"; "" is true.
	If        string    `json:"if,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// CancellationLifetime is how long a cancellation is kept. It acts on the runs
// that there are when it is made; what is kept is for starts that were under
// way then, and for those who ask.
const CancellationLifetime = 24 * time.Hour

// Covers tells whether a run with that id was started in the span of time. Ids
// have milliseconds, so that the bounds count in these too.
func (c *Cancellation) Covers(run ulid.ULID) bool {
	at := int64(run.Time())
	if !c.StartedAfter.IsZero() && at < c.StartedAfter.UnixMilli() {
		return false
	}
	return at <= c.StartedBefore.UnixMilli()
}

// Current are the cancellations that are still kept at that time, oldest first.
// Control may be nil.
func (c *Control) Current(now time.Time) []Cancellation {
	if c == nil {
		return nil
	}
	oldest := now.Add(-CancellationLifetime)
	for i := range c.Cancellations {
		if c.Cancellations[i].CreatedAt.After(oldest) {
			return c.Cancellations[i:len(c.Cancellations):len(c.Cancellations)]
		}
	}
	return nil
}

// WithCancellation is the control with one cancellation more, without those
// that are no longer kept when it is made.
func (c Control) WithCancellation(added Cancellation) Control {
	c.Cancellations = append(slices.Clone(c.Current(added.CreatedAt)), added)
	return c
}

// WithoutCancellation is the control without one cancellation; ok unless there
// was none with that id.
func (c Control) WithoutCancellation(id ulid.ULID) (changed Control, ok bool) {
	at := slices.IndexFunc(c.Cancellations, func(have Cancellation) bool { return have.ID == id })
	if at < 0 {
		return c, false
	}
	c.Cancellations = slices.Delete(slices.Clone(c.Cancellations), at, at+1)
	return c, true
}
