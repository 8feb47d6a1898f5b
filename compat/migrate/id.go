package migrate

import (
	"strings"

	"github.com/google/uuid"
)

// Item is the run as an item.
func (r *Run) Item() Item { return Item{ID: ID{KindRun, r.State.ID.String()}, Run: r} }

// Item is the claim as an item.
func (c *Claim) Item() Item { return Item{ID: ID{KindClaim, c.Key}, Claim: c} }

// Item is the batch as an item.
func (b *Batch) Item() Item {
	return Item{ID: ID{KindBatch, b.FunctionID.String() + " " + b.ID.String()}, Batch: b}
}

// Item is the batched event as an item.
func (b *Batched) Item() Item {
	return Item{ID: ID{KindBatched, b.FunctionID.String() + " " + b.EventID.String()}, Batched: b}
}

// Item is the debounce as an item.
func (d *Debounce) Item() Item { return Item{ID: ID{KindDebounce, d.ID.String()}, Debounce: d} }

// What the keys of rates begin with.
const (
	ofRateLimit = "rate limit "
	ofThrottle  = "throttle "
)

// Item is the rate as an item.
func (r *Rate) Item() Item {
	name := ofRateLimit
	if r.Throttle {
		name = ofThrottle
	}
	return Item{ID: ID{KindRate, name + r.FunctionID.String() + " " + r.Expr + ":" + r.Value}, Rate: r}
}

// RateOf is the rate that the key of an [ID] names; ok is false if it names none.
func RateOf(key string) (r Rate, ok bool) {
	text, throttle := strings.CutPrefix(key, ofThrottle)
	if !throttle {
		if text, ok = strings.CutPrefix(key, ofRateLimit); !ok {
			return r, false
		}
	}
	fn, limit, _ := strings.Cut(text, " ")
	id, err := uuid.Parse(fn)
	if err != nil {
		return r, false
	}
	r.Throttle, r.FunctionID = throttle, id
	r.Expr, r.Value, _ = strings.Cut(limit, ":")
	return r, true
}

// Item is the semaphore as an item.
func (s *Semaphore) Item() Item {
	return Item{ID: ID{KindSemaphore, s.ID + " " + s.Value}, Semaphore: s}
}

// Item is the schedule as an item. A function's version does not name it: of two
// versions in one storage the later one counts.
func (c *Cron) Item() Item {
	return Item{ID: ID{KindCron, c.FunctionID.String() + " " + c.Expr}, Cron: c}
}

// Item is the unreadable thing as an item.
func (b *Bad) Item() Item { return Item{ID: ID{KindBad, b.Place()}, Bad: b} }

// Place is where it stands.
func (b *Bad) Place() string {
	if b.Member == "" {
		return b.Key
	}
	return b.Key + " [" + b.Member + "]"
}
