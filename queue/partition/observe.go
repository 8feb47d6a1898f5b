package partition

import "time"

// Observer is told how long things take; what is nil is not told. Calls must be
// quick: an owner's lock may be held.
type Observer struct {
	// Matched is told of each event how long it was stored before it was
	// matched.
	Matched func(lag time.Duration)
	// Late is told of each timer of a job how long after its time it fired.
	Late func(late time.Duration)
	// Appended is told of each message of a log that is durable: its size in
	// bytes, the number of its records, and how long it took.
	Appended func(bytes, records int, took time.Duration)
	// Compacted is told of each purge of a log about how many bytes went.
	Compacted func(bytes int)
}
