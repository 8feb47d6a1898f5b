package jobs

import (
	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

var (
	scriptUnchanged = embedded("unchanged")
	scriptNoItems   = embedded("no_items")
)

// UnchangedOperation is a part of a chain that goes on if an item is as it was read.
func UnchangedOperation(e *Entry) script.Operation {
	return scriptUnchanged.On([]string{format.ItemsKey}, e.Item.ID, e.text)
}

// DropOperations are Queue.DropAll as part of a chain, of a run that has no more items
// than these: the last answers 1 when it has.
func DropOperations(run ulid.ULID, known []*Entry) ([]script.Operation, error) {
	all := make([]script.Operation, len(known), len(known)+1)
	for i, e := range known {
		var err error
		if all[i], err = dequeueOperation(e, ""); err != nil {
			return nil, err
		}
		all[i].Always = true
	}
	return append(all, scriptNoItems.On([]string{format.RunIndexKey(run)})), nil
}

// Scripts are those of all operations that may be part of a chain.
func Scripts() []*script.Script {
	return []*script.Script{
		scriptEnqueue, scriptDequeue, scriptItemsOfRun, scriptUnchanged, scriptNoItems, scriptReleaseCapacity,
	}
}
