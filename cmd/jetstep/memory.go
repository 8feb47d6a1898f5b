package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcRoom is how much the heap may grow between collections while it is
	// small: collecting 20 MiB again and again costs more than the memory.
	gcRoom = 160 << 20
	// gcPercentMin keeps a large heap, mostly of sleeping runs, close to what
	// is alive; gcPercentMax bounds the growth of a small one.
	gcPercentMin = 50
	gcPercentMax = 800
	gcLook       = 2 * time.Second

	// A server that allocates less than idleRate bytes between two looks, and
	// has idleSpare bytes of freed memory, gives them back to the system; not
	// more often than each idlePause.
	idleRate  = 4 << 20
	idleSpare = 16 << 20
	idlePause = 10 * time.Second
)

// tuneGC adapts the garbage collector to the live heap until ctx ends, and
// returns memory that an idle server does not need.
func tuneGC(ctx context.Context) {
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
	}
	look := time.NewTicker(gcLook)
	defer look.Stop()
	debug.SetGCPercent(gcPercent(0))
	var allocated uint64
	var returned time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(sample)
		live, total := sample[0].Value.Uint64(), sample[1].Value.Uint64()
		spare := sample[2].Value.Uint64() + sample[3].Value.Uint64() - min(live, sample[3].Value.Uint64())
		debug.SetGCPercent(gcPercent(live))
		if total-allocated < idleRate && spare > idleSpare && time.Since(returned) > idlePause {
			debug.FreeOSMemory()
			returned = time.Now()
		}
		allocated = total
	}
}

// gcPercent is the growth allowed on top of so many live bytes.
func gcPercent(live uint64) int {
	if live == 0 {
		return gcPercentMax
	}
	return int(min(max(gcRoom*100/live, gcPercentMin), gcPercentMax))
}
