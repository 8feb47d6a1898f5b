package redisdata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/function"
	"jetstep/state"
)

// afterPointer is how much later than its pointer ends a debounce is due, in
// milliseconds (redis-state §12).
const afterPointer = 1050

// debounces reads debounces. Their keys stand in the names of pointers only, which
// are read before: that takes memory for the debounces that collect at the moment.
type debounces struct {
	*Side
	collecting map[ulid.ULID]pointer
}

// pointer is what leads to a debounce.
type pointer struct {
	text  string // value of the debounce's key
	until int64
}

func (d *debounces) items(ctx context.Context, fields []field) ([]migrate.Item, error) {
	if d.collecting == nil {
		if err := d.readPointers(ctx); err != nil {
			return nil, err
		}
	}
	found, err := d.readDebounces(ctx, fields, d.collecting)
	items := make([]migrate.Item, 0, len(found))
	for _, item := range found {
		items = append(items, *item)
	}
	return items, err
}

func (d *debounces) readPointers(ctx context.Context) error {
	d.collecting = map[ulid.ULID]pointer{}
	nodes, err := d.nodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		for cursor := uint64(0); ; {
			names, next, err := n.client.Scan(ctx, cursor, "{queue}:debounce-ptrs:*", scanSize).Result()
			if err != nil {
				return fmt.Errorf("scan the debounces: %w", err)
			}
			values, err := d.readExpiring(ctx, names)
			if err != nil {
				return err
			}
			for i, name := range names {
				if id, err := format.ParseULID(values[i].text.Val()); err == nil {
					d.collecting[id] = pointer{debounceText(name), values[i].until(0)}
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// debounceText is the value that a pointer's name has; that of a function without
// expression is the function's id.
func debounceText(name string) string {
	_, parts, ok := format.Identify(name)
	if !ok || parts["function"] == parts["..."] {
		return ""
	}
	return parts["..."]
}

// readDebounces reads fields of the hash of debounces.
func (s *Side) readDebounces(ctx context.Context, fields []field, collecting map[ulid.ULID]pointer) ([]*migrate.Item, error) {
	jobs := make([]*redis.StringCmd, len(fields))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, f := range fields {
			jobs[i] = p.HGet(ctx, format.ItemsKey, function.DebounceJob(f.name))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the jobs of %d debounces: %w", len(fields), err)
	}
	items := make([]*migrate.Item, len(fields))
	for i, f := range fields {
		item := debounceOf(f, jobs[i].Val(), collecting)
		items[i] = &item
	}
	return items, nil
}

// debounceOf reads a debounce. One without a job would never start: it is due at
// once.
func debounceOf(f field, job string, collecting map[ulid.ULID]pointer) migrate.Item {
	at := format.Place{Key: format.DebouncesKey, Member: f.name}
	id, err := format.ParseULID(f.name)
	kept, decodeErr := format.Decode[format.Debounced](at, f.value)
	err = errors.Join(err, decodeErr)
	d := &migrate.Debounce{
		ID: id, FunctionID: kept.FunctionID, Version: kept.FunctionVersion, AppID: kept.AppID, EventID: kept.EventID, Latest: kept.Latest,
	}
	if err == nil {
		d.Event, err = engine.CanonicalEvent(kept.Event)
	}
	if err != nil {
		return (&migrate.Bad{Key: at.Key, Member: at.Member, Reason: err.Error(), Value: f.value}).Item()
	}
	if item, err := format.Decode[format.Item](format.Place{}, job); err == nil {
		d.Due = item.At
	}
	if p, ok := collecting[id]; ok {
		d.Text, d.Until = &p.text, p.until
	}
	return d.Item()
}

// putDebounce writes a debounce: the event, what leads to it, then the job that
// ends it. The run of one that has ended in the target is not made again: its
// idempotency key says so.
func (s *Side) putDebounce(ctx context.Context, item *migrate.Item) (o migrate.Outcome, err error) {
	d := item.Debounce
	id := d.ID.String()
	text, err := s.Redis.HGet(ctx, format.DebouncesKey, id).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return o, err
	}
	if err == nil {
		there, err := s.readDebounces(ctx, []field{{id, text}}, nil)
		if err != nil {
			return o, err
		}
		if len(migrate.Compare(item, there[0])) == 0 {
			return migrate.Outcome{Result: migrate.There}, nil
		}
		if there[0].Debounce != nil && there[0].Debounce.Due != 0 {
			return migrate.Outcome{Result: migrate.WentOn, Reason: "it has another event, or time, in the target"}, nil
		}
	}
	text, err = format.Encode(format.Debounced{
		AccountID: s.Account, EnvironmentID: s.Environment, AppID: d.AppID, FunctionID: d.FunctionID, FunctionVersion: d.Version,
		EventID: d.EventID, Event: (&state.Run{Events: jsons(d.Event)}).StoredEvents()[0], Latest: d.Latest,
	})
	if err != nil {
		return o, err
	}
	if err := s.pointTo(ctx, d, text); err != nil {
		return o, err
	}
	job := s.systemItem(format.KindDebounce, "", d.FunctionID, d.AppID, format.DebouncePayload{
		DebounceID: d.ID, AccountID: s.Account, EnvironmentID: s.Environment, AppID: d.AppID, FunctionID: d.FunctionID, FunctionVersion: d.Version,
	})
	job.ID, job.At, job.Data.GroupID = function.DebounceJob(id), d.Due, ""
	return o, s.restore(ctx, job)
}

// pointTo stores the event of a debounce, and what leads to it for as long as it
// collects. Another one that the target collects in goes on doing so.
func (s *Side) pointTo(ctx context.Context, d *migrate.Debounce, text string) error {
	until := d.Until
	if until == 0 {
		until = d.Due - afterPointer
	}
	left := time.Until(time.UnixMilli(until)).Truncate(time.Millisecond)
	_, err := s.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, format.DebouncesKey, d.ID.String(), text)
		if d.Text != nil && left > 0 {
			key := *d.Text
			if key == "" {
				key = d.FunctionID.String()
			}
			p.SetNX(ctx, format.DebouncePointerKey(d.FunctionID, key), d.ID.String(), left)
		}
		return nil
	})
	return err
}
