package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// gcPause is how long the heap grows between two collections: what a server
	// allocates in that time, and from gcRoomMin to gcRoomMax bytes. A busy one
	// must not collect the same 20 MiB again and again. One with little to do
	// would touch memory that is in no cache, or not even mapped, with each
	// allocation, which takes longer than to collect.
	gcPause   = 500 * time.Millisecond
	gcRoomMin = 16 << 20
	gcRoomMax = 160 << 20
	// gcPercentMin keeps a large heap, mostly of sleeping runs, close to what
	// is alive; gcPercentMax bounds the growth of a small one.
	gcPercentMin = 50
	gcPercentMax = 800
	gcLook       = 500 * time.Millisecond

	// A server that allocates less than idleRate bytes a second, and has
	// idleSpare bytes of freed memory, gives them back to the system; not more
	// often than each idlePause.
	idleRate  = 2 << 20
	idleSpare = 16 << 20
	idlePause = 10 * time.Second
)

// tuneGC adapts the garbage collector to the live heap and to what is allocated
// until ctx ends, and returns memory that an idle server does not need.
func tuneGC(ctx context.Context) {
	sample := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
	}
	look := time.NewTicker(gcLook)
	defer look.Stop()
	percent := gcPercent(0, 0)
	debug.SetGCPercent(percent)
	var allocated uint64
	looked, returned := time.Now(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		metrics.Read(sample)
		live, total := sample[0].Value.Uint64(), sample[1].Value.Uint64()
		rate := float64(total-allocated) / time.Since(looked).Seconds()
		allocated, looked = total, time.Now()
		// Each change stops the world for a moment.
		if now := gcPercent(live, rate); now*10 < percent*9 || now*9 > percent*10 {
			percent = now
			debug.SetGCPercent(percent)
		}
		spare := sample[2].Value.Uint64() + sample[3].Value.Uint64() - min(live, sample[3].Value.Uint64())
		if rate < idleRate && spare > idleSpare && time.Since(returned) > idlePause {
			debug.FreeOSMemory()
			returned = time.Now()
		}
	}
}

// gcPercent is the growth allowed on top of so many live bytes when rate bytes
// are allocated in a second.
func gcPercent(live uint64, rate float64) int {
	if live == 0 {
		return gcPercentMax
	}
	room := min(max(rate*gcPause.Seconds(), gcRoomMin), gcRoomMax)
	return int(min(max(room*100/float64(live), gcPercentMin), gcPercentMax))
}
