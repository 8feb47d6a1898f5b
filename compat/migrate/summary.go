package migrate

import "maps"

// Summary is what became of the items, by kind.
type Summary struct {
	Read  int64 // of what Source.Estimate counts
	Kinds map[Kind]*Tally
	// Parts are what runs consist of, by name: steps, jobs, waits, …
	Parts map[string]int
}

// Tally counts items of one kind.
type Tally struct {
	Found     int
	Written   int
	There     int // the same, before
	WentOn    int
	Conflicts int
	Refused   int
	// NotKept are of a kind that the target has no place for: they follow from others.
	NotKept int
}

// NewSummary is the summary of nothing.
func NewSummary() *Summary { return &Summary{Kinds: map[Kind]*Tally{}, Parts: map[string]int{}} }

// Of is the tally of a kind.
func (s *Summary) Of(k Kind) *Tally {
	if s.Kinds[k] == nil {
		s.Kinds[k] = &Tally{}
	}
	return s.Kinds[k]
}

// Items is how many items were found.
func (s *Summary) Items() int {
	n := 0
	for _, tally := range s.Kinds {
		n += tally.Found
	}
	return n
}

// Lost is how many things are not in the target as they should be, because they
// cannot be read, cannot be kept, or something else has their place.
func (s *Summary) Lost() int {
	n := s.Of(KindBad).Found
	for _, tally := range s.Kinds {
		n += tally.Conflicts + tally.Refused
	}
	return n
}

// found counts an item that was read.
func (s *Summary) found(i *Item) {
	s.Of(i.Kind).Found += max(i.Count, 1)
	if i.Run == nil {
		return
	}
	for part, n := range partsOf(i.Run) {
		if n > 0 {
			s.Parts[part] += n
		}
	}
}

// became counts what an item became in the target.
func (s *Summary) became(k Kind, r Result) {
	tally := s.Of(k)
	switch r {
	case Written:
		tally.Written++
	case There:
		tally.There++
	case WentOn:
		tally.WentOn++
	case Conflicts:
		tally.Conflicts++
	default:
		tally.Refused++
	}
}

// clone is a copy that further counting does not change.
func (s *Summary) clone() *Summary {
	c := &Summary{Read: s.Read, Kinds: map[Kind]*Tally{}, Parts: maps.Clone(s.Parts)}
	for kind, tally := range s.Kinds {
		t := *tally
		c.Kinds[kind] = &t
	}
	return c
}

// Parts are the names of what runs consist of, in order.
var Parts = []string{"events", "steps", "queue items", "waits", "cancellations", "defers"}

func partsOf(r *Run) map[string]int {
	return map[string]int{
		"events": len(r.State.Events), "steps": len(r.State.Steps), "queue items": len(r.State.Jobs) + len(r.Timeouts),
		"waits": len(r.State.Waits), "cancellations": len(r.State.Cancels), "defers": len(r.State.Defers),
	}
}
