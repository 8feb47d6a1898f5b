package trace_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/history/trace"
)

func TestDefers(t *testing.T) {
	t.Parallel()
	s := running()
	for i, status := range []string{"scheduled", "after_run", "aborted", "rejected"} {
		id := "defer" + status
		s.add(trace.NameDefer, id, id, "root", 2+i, attrs{
			"defer.fn_slug": "app-later", "defer.hashed_id": id, "defer.userland_id": "mine", "defer.status": "after_run",
		})
		s.add(trace.NameExtension, id+"x", id, "root", 9, attrs{"defer.status": status})
	}
	s.add(trace.NameExtension, "child", "deferscheduled", "root", 9, attrs{"defer.child_run_id": runULID})
	require.Equal(t, []trace.Defer{
		{HashedID: "deferscheduled", UserlandID: "mine", Slug: "app-later", Status: trace.DeferScheduled, ChildRunID: runULID},
		{HashedID: "deferafter_run", UserlandID: "mine", Slug: "app-later", Status: trace.DeferScheduled},
		{HashedID: "deferaborted", UserlandID: "mine", Slug: "app-later", Status: trace.DeferAborted},
		{HashedID: "deferrejected", UserlandID: "mine", Slug: "app-later", Status: trace.DeferRejected},
	}, trace.Defers(*s))
	require.Empty(t, trace.DeferredFrom(*s))

	s.add(trace.NameExtension, "parents", "root", trace.NoParent, 9, attrs{"defer.parent_run_ids": []string{runULID}})
	require.Equal(t, []string{runULID}, trace.DeferredFrom(*s))
	require.Nil(t, trace.DeferredFrom(nil))
}
