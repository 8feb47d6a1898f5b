package trace

import (
	"encoding/json"
)

// Attributes of deferred runs (database §11.4).
const (
	attrDeferChild    = "defer.child_run_id"
	attrDeferSlug     = "defer.fn_slug"
	attrDeferHash     = "defer.hashed_id"
	attrDeferStatus   = "defer.status"
	attrDeferUserland = "defer.userland_id"
	attrDeferParents  = "defer.parent_run_ids"
)

// Defer is a run that another asked to be made after it.
type Defer struct {
	HashedID   string
	UserlandID string
	Slug       string // of the function
	Status     DeferStatus
	ChildRunID string // empty until it was scheduled
}

// DeferStatus is what became of it, in the words of the API.
type DeferStatus string

// The statuses of deferred runs.
const (
	DeferScheduled DeferStatus = "SCHEDULED" // now, or for when the run has ended
	DeferAborted   DeferStatus = "ABORTED"
	DeferRejected  DeferStatus = "REJECTED"
)

// Defers lists what a run deferred, from its rows, in the order in which it did.
func Defers(rows []Row) []Defer {
	var found []Defer
	for _, s := range merge(rows) {
		if s.name != NameDefer {
			continue
		}
		a := s.attrs
		found = append(found, Defer{
			HashedID: a.text(attrDeferHash), UserlandID: a.text(attrDeferUserland), Slug: a.text(attrDeferSlug),
			Status: deferStatusOf(a.text(attrDeferStatus)), ChildRunID: a.text(attrDeferChild),
		})
	}
	return found
}

func deferStatusOf(text string) DeferStatus {
	switch text {
	case "aborted":
		return DeferAborted
	case "rejected":
		return DeferRejected
	default:
		return DeferScheduled
	}
}

// DeferredFrom lists the runs that deferred this one, from its rows.
func DeferredFrom(rows []Row) []string {
	var parents []string
	root := findRoot(merge(rows))
	if root == nil || json.Unmarshal(root.attrs[attrDeferParents], &parents) != nil {
		return nil
	}
	return parents
}
