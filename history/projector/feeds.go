package projector

import (
	"context"
	"encoding/json"
	"fmt"

	"jetstep/bus"
	"jetstep/history/database"
)

// stream is a feed with its name among the database's positions.
type stream struct {
	name      string
	partition int // whose owner projects it
	feed      feed
}

// instanceMark stands between the name of a stream and that of its instance.
const instanceMark = "@"

// streamsOf are the streams under the names of an instance (Config.Instance).
func streamsOf(b *bus.Bus, instance string) []stream {
	all := streams(b)
	if instance != "" {
		for i := range all {
			all[i].name += instanceMark + instance
		}
	}
	return all
}

// streams are all that is projected: the partitions' logs in their order, then
// the others.
func streams(b *bus.Bus) []stream {
	var all []stream
	for p := range b.Partitions() {
		all = append(all, stream{LogSource(p), p, &logFeed{bus: b, partition: p}})
	}
	return append(all, stream{EventSource, 0, &eventFeed{b}}, stream{TraceSource, 0, &traceFeed{b}}, stream{ToldSource, 0, &toldFeed{b}})
}

// logFeed is a partition's log.
type logFeed struct {
	bus       *bus.Bus
	partition int
}

func (f *logFeed) bounds(ctx context.Context) (first, last uint64, err error) {
	return f.bus.LogBounds(ctx, f.partition)
}

func (f *logFeed) follow(ctx context.Context, after uint64, deliver func(message)) (stop func(), err error) {
	return f.bus.FollowLog(ctx, f.partition, after, func(r bus.LogRecord) {
		deliver(message{seq: r.Seq, at: r.StoredAt, size: len(r.Data), body: r.Data})
	})
}

func (f *logFeed) translate(b *batch, m message) error { return b.payload(m.seq, m.body.([]byte)) }

// eventFeed is EVENTS.
type eventFeed struct{ bus *bus.Bus }

func (f *eventFeed) bounds(ctx context.Context) (first, last uint64, err error) {
	return f.bus.EventBounds(ctx)
}

func (f *eventFeed) follow(ctx context.Context, after uint64, deliver func(message)) (stop func(), err error) {
	return f.bus.FollowEvents(ctx, after, func(d *bus.Delivery) {
		deliver(message{seq: d.Seq, at: d.StoredAt, size: len(d.Body), body: d})
	})
}

func (f *eventFeed) translate(b *batch, m message) error {
	d := m.body.(*bus.Delivery)
	event, err := d.Event()
	if err != nil {
		return fmt.Errorf("event %s: %w", d.Name, err)
	}
	b.rows.Events = append(b.rows.Events, eventRow(event, d))
	return nil
}

func eventRow(e *bus.Event, d *bus.Delivery) database.Event {
	row := database.Event{
		InternalID: e.InternalID, ReceivedAt: d.StoredAt, ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, Version: e.V,
		Timestamp: moment(e.TS),
		// What a partition sends is sent again until it knows that it arrived.
		Resent: d.Source != nil,
	}
	if row.Data == nil {
		row.Data = json.RawMessage("null")
	}
	return row
}
