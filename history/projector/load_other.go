//go:build !linux

package projector

// loadMeter knows nothing here: projecting does not rest.
type loadMeter struct{}

func (*loadMeter) sample() float64 { return 0 }
