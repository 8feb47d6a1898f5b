package migrate

import "context"

// Source is a side that is read.
type Source interface {
	// Name is what people call it: its address without secrets.
	Name() string
	// Busy tells why the storage must not be copied now, "" if it may be: a
	// process works on it.
	Busy(ctx context.Context) (string, error)
	// Estimate is about how many things Each will read; pages say how many they read.
	Estimate(ctx context.Context) (int64, error)
	// Each gives all items, page by page, beginning after the position, which is
	// that of a page given before by a reader of the same storage; "" is the
	// beginning. An item may be given twice; what is added meanwhile may be left
	// out. A page is bounded in bytes as far as single items are. What cannot be
	// read is given as an item of KindBad, and so is what is counted only. It ends
	// with the error of visit.
	Each(ctx context.Context, after Position, visit func(Page) error) error
	// Get reads items of kinds that move; nil stands for one that is not there. One
	// that cannot be read is of KindBad.
	Get(ctx context.Context, ids []ID) ([]*Item, error)
	// Keeps tells whether the storage has a place for such items. Those of a kind
	// that it has none for follow from others there, and are not compared.
	Keeps(Kind) bool
}

// Position is how far a storage was read, in the reader's own terms.
type Position string

// Page is some items, and the position after them.
type Page struct {
	Items []Item
	After Position
	Read  int64 // of what Estimate counts
}

// Target is a side that is written. It can be read, to be compared.
type Target interface {
	Source
	// Put writes items of kinds that it keeps, and tells for each what became of
	// it. It is safe to repeat, also when it was interrupted: what was begun is
	// completed. What the target has gone on with since is left as it is. It has
	// returned when all is durable.
	Put(ctx context.Context, items []Item) ([]Outcome, error)
}

// Outcome is what became of an item that was to be written.
type Outcome struct {
	Result Result
	// Reason says why, when the item is not there as it was to be.
	Reason string
}

// Result is how writing an item went.
type Result int

// The results of writing an item.
const (
	Written   Result = iota // it is there now
	There                   // it was there, the same
	WentOn                  // it was there, or had ended: the target has gone on with it
	Conflicts               // something else has its place in the target, and stays
	Refused                 // the target cannot keep it
)

// String is the result in summaries.
func (r Result) String() string {
	switch r {
	case Written:
		return "written"
	case There:
		return "there"
	case WentOn:
		return "went on"
	case Conflicts:
		return "in conflict"
	}
	return "refused"
}

// OK tells whether nothing was lost.
func (r Result) OK() bool { return r <= WentOn }
