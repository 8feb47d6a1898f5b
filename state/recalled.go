package state

// Recalled begins a record whose RunPut is of a run that began earlier: in
// another process, before a crash, or on a server of the original. The history
// adds what it has not got of that and leaves the rest as it is. The run is
// without what its calls led to: steps, jobs, waits. It is told, as a call is:
// nothing follows from it.
type Recalled struct{}

func (o *Recalled) tag() uint8          { return tagRecalled }
func (o *Recalled) code(*coder)         {}
func (o *Recalled) apply(*Index, int64) {}
