package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Set matches one event against many waiting expressions over async. Those
// that demand an equality of a path with a literal are indexed by it, so that
// an event costs about as much as its matches (expressions.md §15).
//
// A Set is not safe for concurrent use, except that several Match may run
// while nothing is added or removed.
type Set struct {
	sequence uint64
	entries  map[string]*entry
	paths    map[string]*pathIndex
	always   bucket // cannot be indexed
}

// entry is one waiting expression.
type entry struct {
	id         string
	sequence   uint64 // order of insertion
	removed    bool
	keys       []key       // where it is indexed; none if always a candidate
	all        []key       // a conjunction of equalities that needs no evaluation
	expression *Expression // nil if all says everything
}

// key is an equality of a path with a literal.
type key struct {
	path    *pathIndex
	literal literal
}

// pathIndex holds the entries by the literal that they demand at a path.
type pathIndex struct {
	name     string // in Set.paths, as long as there are entries
	segments []segment
	byValue  map[literal]bucket
}

// bucket keeps removed entries until they are half of it, so that removing
// many costs as much as adding them.
type bucket struct {
	entries []*entry
	removed int
}

// NewSet returns an empty set.
func NewSet() *Set {
	return &Set{entries: map[string]*entry{}, paths: map[string]*pathIndex{}}
}

// Len is the number of expressions.
func (s *Set) Len() int {
	return len(s.entries)
}

// Add puts an interpolated expression under an id, replacing what is there;
// the empty text always matches. The error is Compile's: the set is unchanged.
func (s *Set) Add(id, text string) error {
	equalities, isConjunction := parseConjunction(text)
	var expression *Expression
	if !isConjunction && strings.TrimSpace(text) != "" {
		var err error
		if expression, err = CompileInterpolated(text); err != nil {
			return err
		}
	}
	s.Remove(id)
	s.sequence++
	added := &entry{id: id, sequence: s.sequence, expression: expression}
	switch {
	case isConjunction:
		added.all = s.allKeys(equalities)
		added.keys = rarest(added.all)
	case expression != nil:
		added.keys = s.bestCover(expression)
	}
	s.insert(added)
	return nil
}

func (s *Set) insert(added *entry) {
	s.entries[added.id] = added
	for _, k := range added.keys {
		b := k.path.byValue[k.literal]
		b.entries = append(b.entries, added)
		k.path.byValue[k.literal] = b
	}
	if len(added.keys) == 0 {
		s.always.entries = append(s.always.entries, added)
	}
}

func (s *Set) allKeys(equalities []equality) []key {
	keys := make([]key, len(equalities))
	for i, eq := range equalities {
		keys[i] = s.key(eq, eq.literal(nil))
	}
	return keys
}

// rarest is the one of several equalities that fewest others are found by.
func rarest(all []key) []key {
	best := 0
	for i := range all {
		if all[i].population() < all[best].population() {
			best = i
		}
	}
	return all[best : best+1 : best+1]
}

// bestCover is the cover of an expression that fewest others are found by.
func (s *Set) bestCover(e *Expression) []key {
	var best []key
	lowest := 0
	for _, c := range e.program.covers {
		keys := make([]key, len(c))
		population := 0
		for i, eq := range c {
			keys[i] = s.key(eq, eq.literal(e.literals))
			population += keys[i].population()
		}
		if best == nil || population < lowest {
			best, lowest = keys, population
		}
	}
	return best
}

func (k key) population() int {
	return len(k.path.byValue[k.literal].entries)
}

// key finds or makes the index of the equality's path.
func (s *Set) key(eq equality, l literal) key {
	name := pathName(eq.segments)
	index, ok := s.paths[name]
	if !ok {
		index = &pathIndex{name: name, segments: eq.segments, byValue: map[literal]bucket{}}
		s.paths[name] = index
	}
	l.text = strings.Clone(l.text) // not to keep the whole expression
	return key{path: index, literal: l}
}

// pathName is different for different paths.
func pathName(segments []segment) string {
	var name []byte
	for _, s := range segments {
		if s.list {
			name = append(strconv.AppendInt(append(name, '['), s.index, 10), ']')
		} else {
			name = strconv.AppendQuote(append(name, '.'), s.field)
		}
	}
	return string(name)
}

// Remove forgets the expression under an id, if there is one.
func (s *Set) Remove(id string) {
	gone, ok := s.entries[id]
	if !ok {
		return
	}
	delete(s.entries, id)
	gone.removed = true
	for _, k := range gone.keys {
		b := k.path.byValue[k.literal]
		b.sweep()
		if len(b.entries) == 0 {
			delete(k.path.byValue, k.literal)
			if len(k.path.byValue) == 0 {
				delete(s.paths, k.path.name)
			}
			continue
		}
		k.path.byValue[k.literal] = b
	}
	if len(gone.keys) == 0 {
		s.always.sweep()
	}
}

// sweep counts a removed entry.
func (b *bucket) sweep() {
	b.removed++
	if b.removed*2 < len(b.entries) {
		return
	}
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool { return e.removed })
	b.removed = 0
}

// MatchError is an expression that could not be evaluated; it does not match.
type MatchError struct {
	ID  string
	Err error
}

func (e *MatchError) Error() string { return fmt.Sprintf("expression %s: %v", e.ID, e.Err) }
func (e *MatchError) Unwrap() error { return e.Err }

// Match returns the ids of the expressions that are true for an event, given
// as encoding/json makes it, in the order of their insertion, and a MatchError
// for each candidate that has no boolean value. An expression that an equality
// already rules out is not evaluated, so its errors are not seen.
func (s *Set) Match(async map[string]any) (ids []string, errs []error) {
	vars := map[string]any{asyncVariable: async}
	for _, e := range s.candidates(async) {
		matched, err := e.matches(async, vars)
		if err != nil {
			errs = append(errs, &MatchError{ID: e.id, Err: err})
		} else if matched {
			ids = append(ids, e.id)
		}
	}
	return ids, errs
}

// candidates are the entries that an event may match, in order, each once.
func (s *Set) candidates(async map[string]any) []*entry {
	found := appendLive(nil, s.always)
	for _, index := range s.paths {
		if len(index.byValue) == 0 {
			continue
		}
		if l, ok := literalAt(async, index.segments); ok {
			found = appendLive(found, index.byValue[l])
		}
	}
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.sequence, b.sequence) })
	return slices.Compact(found) // a disjunction may be found by several keys
}

func appendLive(to []*entry, b bucket) []*entry {
	for _, e := range b.entries {
		if !e.removed {
			to = append(to, e)
		}
	}
	return to
}

// literalAt is the scalar at a path; a missing value equals null.
func literalAt(async map[string]any, segments []segment) (literal, bool) {
	v, ok := find(async, segments)
	if !ok {
		return literal{kind: nullLiteral}, true
	}
	return literalOf(v)
}

func (e *entry) matches(async, vars map[string]any) (bool, error) {
	if e.expression != nil {
		result, err := e.expression.Eval(vars)
		if err != nil {
			return false, err
		}
		return result.Bool()
	}
	if len(e.all) == 1 {
		return true, nil // it was found by it
	}
	for _, k := range e.all {
		if l, ok := literalAt(async, k.path.segments); !ok || l != k.literal {
			return false, nil
		}
	}
	return true, nil
}
