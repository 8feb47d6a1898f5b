package partition

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/state"
)

// StartNow takes a start through the gates of its function, and returns once it
// is durable what became of it: the id of the run that was made, or the reason
// why none was. state.ErrRepeated comes with the id of the run that there is;
// the others are state.ErrRateLimited, ErrDebounced, ErrBatched and ErrSkipped.
// RunID is of NewRunIDFor; Events are canonical.
//
// When it fails with anything else it is unknown whether there is a run.
func (n *Node) StartNow(ctx context.Context, s state.Start) (ulid.ULID, error) {
	if s.Mark == 0 {
		s.Mark = n.bus.LastEvent() // events before the run do not cancel it
	}
	p := n.partitionOfRun(s.RunID)
	var id ulid.ULID
	var err error
	if o := n.owner(p); o != nil {
		id, err = o.startNow(ctx, &s)
	} else {
		var a answer
		a, err = n.ask(ctx, p, question{Kind: askStart, Start: &s})
		id = a.RunID
	}
	if err != nil {
		err = fmt.Errorf("start run %s: %w", s.RunID, err)
	}
	return id, err
}

func (o *Owner) startNow(ctx context.Context, s *state.Start) (ulid.ULID, error) {
	var outcome string
	there := s.RunID
	err := o.do(ctx, func(t *tx) error {
		if earlier, taken := t.claimed(s); taken {
			there = earlier
		}
		outcome = t.handleStart(s)
		return nil
	})
	switch {
	case err != nil:
		return ulid.ULID{}, err
	case outcome == StartIdempotency && there == s.RunID:
		return there, nil // asked for again
	case outcome == StartSuccess, outcome == StartIdempotency:
		return there, refusals[outcome]
	}
	return ulid.ULID{}, refusals[outcome]
}

// refusals are the outcomes that somebody who waits for a run has to know.
var refusals = map[string]error{
	StartIdempotency: state.ErrRepeated,
	StartRateLimited: state.ErrRateLimited,
	StartDebounced:   state.ErrDebounced,
	StartBatched:     state.ErrBatched,
	StartSkipped:     state.ErrSkipped,
	StartError:       ErrNoFunction,
}
