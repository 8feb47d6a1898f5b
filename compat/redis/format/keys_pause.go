package format

import (
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
)

// The keys of pauses have the hash tag {estate} (redis-state §8.3).

const prefixPauses = "{estate}:"

// PauseKey is the string [Pause].
func PauseKey(pause uuid.UUID) string { return prefixPauses + "pauses:" + pause.String() }

// PauseIndexKey is the set of all pauses.
const PauseIndexKey = prefixPauses + "pauses-idx"

// PauseEventsKey is the hash of the pauses that wait for an event: id → [Pause].
func PauseEventsKey(environment uuid.UUID, event string) string {
	return prefixPauses + "pause-events:" + environment.String() + ":" + event
}

// PauseAddedKey is the sorted set of pauses by creation, in seconds; event is
// [Pause.IndexEvent].
func PauseAddedKey(environment uuid.UUID, event string) string {
	return prefixPauses + "pause-idx:add:" + environment.String() + ":" + orDash(event)
}

// PauseExpiresKey is the sorted set of pauses by the end of their life, in seconds.
func PauseExpiresKey(environment uuid.UUID, event string) string {
	return prefixPauses + "pause-idx:exp:" + environment.String() + ":" + orDash(event)
}

// PausesAsideKey is the hash of pauses that lead to nothing: id → [Aside]. The
// original does not have it.
const PausesAsideKey = prefixPauses + asideName

func orDash(event string) string {
	if event == "" {
		return "-"
	}
	return event
}

// RunPausesKey is the set of a run's pauses.
func RunPausesKey(run ulid.ULID) string { return prefixPauses + "pr:" + run.String() }

// InvokesKey is the hash of invokes: correlation id → pause.
func InvokesKey(environment uuid.UUID) string { return prefixPauses + "invoke:" + environment.String() }

// SignalsKey is the hash of signals: name → pause.
func SignalsKey(environment uuid.UUID) string { return prefixPauses + "signal:" + environment.String() }

// PauseBlockKey is only ever deleted (redis-state §8.6).
func PauseBlockKey(pause uuid.UUID) string { return prefixPauses + "pause-block:" + pause.String() }
