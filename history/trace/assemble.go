package trace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoRoot is returned for rows without the span of a run. Its text is that of
// the original, which always names the zero id (graphql §12).
var ErrNoRoot = errors.New("no root span found for run 00000000000000000000000000")

// Run is the assembled trace of one run, from which either shape is made.
type Run struct {
	root *span
}

// Assemble builds the tree of a run from its rows, in any order (database
// §13.1). Rows whose parent is not among them are left out.
func Assemble(rows []Row) (*Run, error) {
	spans := merge(rows)
	byID := index(spans)
	root := findRoot(spans)
	if root == nil {
		return nil, fmt.Errorf("error retrieving trace: %w", ErrNoRoot)
	}
	attachMetadata(spans, byID)
	for _, s := range spans {
		if s == root || s.name == NameMetadata || s.name == NameDefer {
			continue
		}
		if parent := parentOf(s, byID, spans); parent != nil && parent != s {
			parent.children = append(parent.children, s)
		}
	}
	arrange(root, map[*span]bool{})
	addUsage(root)
	eachSpan(root, addTiming)
	return &Run{root: root}, nil
}

// index finds spans by their dynamic id, and by the id of each of their rows.
func index(spans []*span) map[string]*span {
	byID := make(map[string]*span, 2*len(spans))
	for _, s := range spans {
		for _, row := range s.rows {
			byID[row.SpanID] = s
		}
	}
	for _, s := range spans {
		byID[s.id] = s
	}
	return byID
}

func findRoot(spans []*span) *span {
	for _, s := range spans {
		if s.isRoot() && !s.isUserland() && s.name != NameMetadata {
			return s
		}
	}
	return nil
}

// parentOf is where a span hangs. The outermost spans of user code are moved
// to the step, or else the request, that they ran in.
func parentOf(s *span, byID map[string]*span, spans []*span) *span {
	parent := byID[s.parentID]
	if !s.isUserland() || (parent != nil && parent.isUserland()) {
		return parent
	}
	step := s.attrs.text(attrStepID)
	if step == "" {
		return parent
	}
	for _, name := range []string{NameStep, NameExecution} {
		for _, candidate := range spans {
			if candidate.name == name && candidate.attrs.text(attrStepID) == step && candidate.attempt() == s.attempt() {
				return candidate
			}
		}
	}
	return parent
}

func attachMetadata(spans []*span, byID map[string]*span) {
	for _, s := range spans {
		parent := byID[s.parentID]
		if s.name != NameMetadata || parent == nil {
			continue
		}
		if m, ok := combine(s); ok {
			parent.metadata = append(parent.metadata, m)
		}
	}
}

// arrange sorts children and metadata. Rows that are each other's parents
// never hang below the root, but seen keeps even those from being endless.
func arrange(s *span, seen map[*span]bool) {
	if seen[s] {
		s.children = nil
		return
	}
	seen[s] = true
	slices.SortFunc(s.children, func(a, b *span) int {
		return cmp.Or(a.start.Compare(b.start), cmp.Compare(a.id, b.id))
	})
	sortMetadata(s.metadata)
	for _, child := range s.children {
		arrange(child, seen)
	}
}

// addUsage replaces stored usage by what the metadata of the run takes.
func addUsage(root *span) {
	total, latest := 0, time.Time{}
	eachSpan(root, func(s *span) {
		s.metadata = slices.DeleteFunc(s.metadata, func(m Metadata) bool { return m.Kind == usageKind })
		for _, m := range s.metadata {
			total += m.bytes()
			if m.UpdatedAt.After(latest) {
				latest = m.UpdatedAt
			}
		}
	})
	if total == 0 {
		return
	}
	size, _ := json.Marshal(total)
	root.metadata = append(root.metadata, Metadata{
		Scope: "run", Kind: usageKind, UpdatedAt: cmp.Or(root.attrs.moment(attrEndedAt), latest),
		Values: map[string]json.RawMessage{"metadata_bytes": size},
	})
	sortMetadata(root.metadata)
}

func eachSpan(s *span, do func(*span)) {
	do(s)
	for _, child := range s.children {
		eachSpan(child, do)
	}
}
