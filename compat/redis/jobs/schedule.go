package jobs

import (
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
)

// ahead is how far before its time an item takes the place in the line that its
// run's age gives it, in milliseconds (redis-queue §8.1).
const ahead = 2000

// schedule sets the times of a new item and gives its score among the ready
// ones, in milliseconds, and that of its partition's pointer, in seconds: what is
// due is ordered by the age of its run (redis-queue §8.1).
func schedule(item *format.Item, now int64) (score, pointer int64) {
	score = place(item, now)
	item.WallTime = item.At
	item.At -= priority(item) * 1000
	if score < now {
		item.WallTime = now
	}
	item.EnqueuedAt = now
	if item.Generation == 0 {
		item.Generation = 1
	}
	return score, max(score, now) / 1000
}

// place is an item's score among the ready ones.
func place(item *format.Item, now int64) int64 {
	run := item.Data.Identifier.RunID
	if promotable(item.Data.Kind) && item.At <= now+ahead && run != (ulid.ULID{}) {
		return int64(run.Time()) - priority(item)*1000
	}
	return item.At
}

// promotable kinds are ordered by the age of their run once they are due.
func promotable(kind string) bool {
	switch kind {
	case format.KindStart, format.KindEdge, format.KindEdgeError, format.KindSleep, format.KindPause:
		return true
	}
	return false
}

// priority is by how many seconds an item goes before others of its age.
func priority(item *format.Item) int64 {
	switch item.Data.Kind {
	case format.KindStart, format.KindEdge, format.KindEdgeError:
	default:
		return 0
	}
	if item.Data.Priority != nil {
		return *item.Data.Priority
	}
	if item.Data.Identifier.Priority != nil {
		return *item.Data.Identifier.Priority
	}
	return 0
}
