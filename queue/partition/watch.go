package partition

import (
	"jetstep/expr"
	"jetstep/state"
)

// watchIndex finds the watches that an event satisfies: by the event's name,
// and within a name by the equalities of the expressions (expr.Set), so that
// 100,000 watches on one name cost microseconds.
type watchIndex map[string]*namedWatches

type namedWatches struct {
	set  *expr.Set
	byID map[string]*state.Watch
}

// add indexes a watch; the error names a bad expression, and then nothing was
// added.
func (x watchIndex) add(w *state.Watch) error {
	named := x[w.Event]
	if named == nil {
		named = &namedWatches{set: expr.NewSet(), byID: map[string]*state.Watch{}}
		x[w.Event] = named
	}
	if _, ok := named.byID[w.ID]; ok {
		named.set.Remove(w.ID)
	}
	if err := named.set.Add(w.ID, w.If); err != nil {
		delete(named.byID, w.ID)
		if len(named.byID) == 0 {
			delete(x, w.Event)
		}
		return err
	}
	named.byID[w.ID] = w
	return nil
}

// remove forgets a watch of an event name.
func (x watchIndex) remove(event, id string) {
	named := x[event]
	if named == nil {
		return
	}
	if _, ok := named.byID[id]; !ok {
		return
	}
	named.set.Remove(id)
	delete(named.byID, id)
	if len(named.byID) == 0 {
		delete(x, event)
	}
}

// any tells whether anyone waits for events of that name.
func (x watchIndex) any(event string) bool { return x[event] != nil }

// match lists the watches that the event satisfies, oldest first. Errors of
// evaluation are those of single watches, which then do not match.
func (x watchIndex) match(event string, fields map[string]any) ([]*state.Watch, []error) {
	named := x[event]
	if named == nil {
		return nil, nil
	}
	ids, errs := named.set.Match(fields)
	found := make([]*state.Watch, 0, len(ids))
	for _, id := range ids {
		found = append(found, named.byID[id])
	}
	return found, errs
}
