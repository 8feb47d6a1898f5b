package bus

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
)

// Paused tells whether starts of the function make no runs.
func (c *Catalog) Paused(fn uuid.UUID) bool {
	control := c.controls[fn]
	return control != nil && control.Paused
}

// Cancellations are those of the function that are still kept, oldest first
// (function.CancellationLifetime). The caller must not change them.
func (c *Catalog) Cancellations(fn uuid.UUID) []function.Cancellation {
	control := c.controls[fn]
	if control == nil {
		return nil
	}
	return control.Current(time.Now())
}

// AllCancellations are those of all functions, the newest first.
func (c *Catalog) AllCancellations() []function.Cancellation {
	var all []function.Cancellation
	for fn := range c.controls {
		all = append(all, c.Cancellations(fn)...)
	}
	slices.SortFunc(all, func(a, b function.Cancellation) int { return b.ID.Compare(a.ID) })
	return all
}

// Cancellation finds one by its id.
func (c *Catalog) Cancellation(id ulid.ULID) (function.Cancellation, bool) {
	for fn := range c.controls {
		for _, found := range c.Cancellations(fn) {
			if found.ID == id {
				return found, true
			}
		}
	}
	return function.Cancellation{}, false
}
