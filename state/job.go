package state

// JobKind says what is to be done when a job is due; names as in
// sdk-protocol §4.5.
type JobKind uint8

// The kinds of jobs.
const (
	JobStart     JobKind = iota + 1 // first request of a run
	JobEdge                         // discovery, or execution of a planned step
	JobEdgeError                    // discovery after a failed step
	JobSleep                        // end of a sleep, then discovery as the same job
	JobPause                        // timeout of a wait
)

// String is the queue kind's name.
func (k JobKind) String() string {
	switch k {
	case JobStart:
		return "start"
	case JobEdge:
		return "edge"
	case JobEdgeError:
		return "edge-error"
	case JobSleep:
		return "sleep"
	case JobPause:
		return "pause"
	}
	return "unknown"
}

// Job is one piece of due work of a run.
type Job struct {
	ID   string // hashed job id, unique in its run
	Kind JobKind
	Due  int64 // milliseconds since 1970

	Attempt     int // 0-based, of this job
	MaxAttempts int
	Generation  int // number of dispatches before this one

	// Step is the planned step to execute, the step that sleeps, or the step
	// whose wait times out; "" for a discovery.
	Step string
	// Outgoing is the finished step that led here, "" at the start.
	Outgoing string
	// Group is the coalesce key of the planned group the step belongs to, and
	// Race its parallel mode (sdk-protocol §14).
	Group string
	Race  bool
}

// WaitKind says what ends a wait.
type WaitKind uint8

// The kinds of waits.
const (
	WaitEvent WaitKind = iota + 1
	WaitInvoke
	WaitSignal
)

// Wait is a step that waits for something to happen. Its timeout is a job of
// kind JobPause.
type Wait struct {
	Kind WaitKind
	Step string
	Name string // event name, signal name, or the invoked function
	// Group and Race are carried to the discovery that follows.
	Group string
	Race  bool
}
