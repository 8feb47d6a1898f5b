package partition

import (
	"github.com/google/uuid"

	"jetstep/queue"
)

// Depths counts the due calls of each function that wait for a worker of this
// process, and those that have one.
func (n *Node) Depths() map[uuid.UUID]queue.Depth { return n.lanes[queue.LaneCall].Depths() }
