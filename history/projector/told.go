package projector

import (
	"context"
	"time"

	"jetstep/bus"
	"jetstep/state"
)

// ToldSource is the name of TOLD among the database's positions.
const ToldSource = "TOLD"

// toldFeed is TOLD: records of runs whose state is in no partition.
type toldFeed struct{ bus *bus.Bus }

func (f *toldFeed) bounds(ctx context.Context) (first, last uint64, err error) {
	return f.bus.ToldBounds(ctx)
}

func (f *toldFeed) follow(ctx context.Context, after uint64, deliver func(message)) (stop func(), err error) {
	return f.bus.ConsumeTold(ctx, after, func(seq uint64, at time.Time, data []byte) {
		deliver(message{seq: seq, at: at, size: len(data), body: data})
	})
}

func (f *toldFeed) translate(b *batch, m message) error { return b.payload(m.seq, m.body.([]byte)) }

// ToldProjected is the sequence of TOLD up to which everything is durably in the
// database; 0 while that is not known here.
func (p *Projector) ToldProjected() uint64 {
	for _, s := range p.sources {
		if _, ok := s.feed.(*toldFeed); ok {
			return s.position.Load()
		}
	}
	return 0
}

// isRecalled tells a record of a run that may be in the database already, from
// whoever began it.
func isRecalled(r *state.Record) bool {
	if len(r.Ops) == 0 {
		return false
	}
	_, recalled := r.Ops[0].(*state.Recalled)
	return recalled
}
