package projector

import (
	"context"
	"time"

	"jetstep/bus"
	"jetstep/history/userland"
)

// TraceSource is the name of TRACES among the database's positions.
const TraceSource = "TRACES"

// traceFeed is TRACES: spans of user code.
type traceFeed struct{ bus *bus.Bus }

func (f *traceFeed) bounds(ctx context.Context) (first, last uint64, err error) {
	return f.bus.TraceBounds(ctx)
}

func (f *traceFeed) follow(ctx context.Context, after uint64, deliver func(message)) (stop func(), err error) {
	return f.bus.ConsumeTraces(ctx, after, func(seq uint64, at time.Time, data []byte) {
		deliver(message{seq: seq, at: at, size: len(data), body: data})
	})
}

func (f *traceFeed) translate(b *batch, m message) error {
	rows, err := userland.Rows(m.body.([]byte))
	if err != nil {
		return err
	}
	for i := range rows {
		run := b.touch(rows[i].RunID, rows[i].FunctionID) // whoever watches it is told
		rows[i].AppID = run.app
	}
	b.rows.Spans = append(b.rows.Spans, rows...)
	return nil
}
