package redisdata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/pipeline"
	"jetstep/function"
	"jetstep/state"
)

// batchID names a batch.
type batchID struct {
	function uuid.UUID
	batch    ulid.ULID
}

// batchesOf are batches that collect or are due.
func (s *Side) batchesOf(ctx context.Context, keys []key) ([]migrate.Item, error) {
	ids := make([]batchID, len(keys))
	for i, k := range keys {
		ids[i] = batchID{k.function(), ulid.MustParse(k.parts["batch"])} // the pattern says that it is one
	}
	found, err := s.readBatches(ctx, ids)
	if err != nil {
		return nil, err
	}
	var items []migrate.Item
	for _, item := range found {
		if item == nil {
			items = append(items, counted(migrate.KindTransient, "{queue:<function>}:batches:<batch>", 1))
			continue
		}
		items = append(items, *item)
	}
	return items, nil
}

// batchReading are the commands that read a batch.
type batchReading struct {
	events   *redis.StringSliceCmd
	job      *redis.StringCmd
	started  *redis.StringCmd // run
	pointer  string
	collects *redis.StringCmd
}

// readBatches reads batches; nil stands for one that is not there, or whose run has
// been started.
func (s *Side) readBatches(ctx context.Context, ids []batchID) ([]*migrate.Item, error) {
	readings := make([]batchReading, len(ids))
	err := pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i, id := range ids {
			source := id.function.String() + "-" + id.batch.String()
			readings[i] = batchReading{
				events:  p.LRange(ctx, format.BatchKey(id.function, id.batch), 0, -1),
				job:     p.HGet(ctx, format.ItemsKey, function.BatchJob(s.Environment, id.batch.String())),
				started: p.Get(ctx, format.ClaimKey(s.Account, function.IdempotencyKey(id.function, source))),
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read %d batches: %w", len(ids), err)
	}
	err = pipeline.Do(ctx, s.Redis, func(p redis.Pipeliner) {
		for i := range readings {
			r := &readings[i]
			r.pointer = format.BatchPointerKey(ids[i].function)
			item, err := format.Decode[format.Item](format.Place{}, r.job.Val())
			if err == nil {
				if payload, err := format.PayloadOf[format.BatchPayload](format.Place{}, &item); err == nil {
					r.pointer = payload.Pointer
				}
			}
			r.collects = p.Get(ctx, r.pointer)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the pointers of %d batches: %w", len(ids), err)
	}
	items := make([]*migrate.Item, len(ids))
	for i := range readings {
		r := &readings[i]
		if len(r.events.Val()) == 0 || !missing(r.started) {
			continue
		}
		item := batchOf(ids[i], r)
		items[i] = &item
	}
	return items, nil
}

func batchOf(id batchID, r *batchReading) migrate.Item {
	b := &migrate.Batch{ID: id.batch, FunctionID: id.function, Collects: r.collects.Val() == id.batch.String()}
	b.KeyHash = strings.TrimPrefix(strings.TrimPrefix(r.pointer, format.BatchPointerKey(id.function)), ":")
	name := format.BatchKey(id.function, id.batch)
	for i, text := range r.events.Val() {
		at := format.Place{Key: name, Member: fmt.Sprint(i)}
		event, err := format.Decode[format.Batched](at, text)
		var canonical json.RawMessage
		if err == nil {
			canonical, err = engine.CanonicalEvent(event.Event)
		}
		if err != nil {
			return (&migrate.Bad{Key: name, Member: at.Member, Reason: err.Error(), Value: text}).Item()
		}
		b.Version, b.AppID = event.FunctionVersion, event.AppID
		b.Events, b.EventIDs = append(b.Events, canonical), append(b.EventIDs, event.EventID)
	}
	// One without a job would never start: it is due at once.
	if item, err := format.Decode[format.Item](format.Place{}, r.job.Val()); err == nil {
		b.Due = item.At
	}
	return b.Item()
}

// putBatch writes a batch: the events, then the job that starts them.
func (s *Side) putBatch(ctx context.Context, item *migrate.Item) (o migrate.Outcome, err error) {
	b := item.Batch
	source := b.FunctionID.String() + "-" + b.ID.String()
	started, err := s.Redis.Get(ctx, format.ClaimKey(s.Account, function.IdempotencyKey(b.FunctionID, source))).Result()
	if err == nil {
		return migrate.Outcome{Result: migrate.WentOn, Reason: "it has started run " + strings.TrimPrefix(started, "-")}, nil
	}
	if !errors.Is(err, redis.Nil) {
		return o, err
	}
	there, err := s.readBatches(ctx, []batchID{{b.FunctionID, b.ID}})
	if err != nil {
		return o, err
	}
	switch {
	case there[0] == nil:
		if err := s.pushBatch(ctx, b); err != nil {
			return o, err
		}
	case there[0].Kind == migrate.KindBad:
		return migrate.Outcome{Result: migrate.Conflicts, Reason: there[0].Bad.Reason}, nil
	case len(migrate.Compare(item, there[0])) == 0:
		return migrate.Outcome{Result: migrate.There}, nil
	case len(there[0].Batch.Events) > len(b.Events):
		return migrate.Outcome{Result: migrate.WentOn, Reason: "the target has added events"}, nil
	}
	pointer := s.batchPointer(b)
	job := s.systemItem(format.KindBatch, format.QueueBatch, b.FunctionID, b.AppID, format.BatchPayload{
		BatchID: b.ID, Pointer: pointer, AccountID: s.Account, EnvironmentID: s.Environment, AppID: b.AppID,
		FunctionID: b.FunctionID, FunctionVersion: b.Version,
	})
	job.ID, job.At = function.BatchJob(s.Environment, b.ID.String()), b.Due
	job.Data.Identifier.Version, job.Data.Identifier.Key = b.Version, "batchschedule:"+b.ID.String()
	return o, s.restore(ctx, job)
}

func (s *Side) batchPointer(b *migrate.Batch) string {
	pointer := format.BatchPointerKey(b.FunctionID)
	if b.KeyHash != "" {
		pointer += ":" + b.KeyHash
	}
	return pointer
}

// pushBatch writes the events of a batch, whole or not at all. Another batch that
// the target collects in goes on doing so.
func (s *Side) pushBatch(ctx context.Context, b *migrate.Batch) error {
	stored := (&state.Run{Events: b.Events}).StoredEvents()
	values := make([]any, len(stored))
	for i, event := range stored {
		text, err := format.Encode(format.Batched{
			AccountID: s.Account, EnvironmentID: s.Environment, AppID: b.AppID, FunctionID: b.FunctionID,
			FunctionVersion: b.Version, EventID: b.EventIDs[i], Event: event,
		})
		if err != nil {
			return err
		}
		values[i] = text
	}
	_, err := s.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, format.BatchKey(b.FunctionID, b.ID))
		p.RPush(ctx, format.BatchKey(b.FunctionID, b.ID), values...)
		p.HSet(ctx, format.BatchMetadataKey(b.FunctionID, b.ID), format.FieldBatchStatus, format.BatchPending)
		if b.Collects {
			p.SetNX(ctx, s.batchPointer(b), b.ID.String(), 0)
		}
		return nil
	})
	return err
}

// restore puts items of the system back in line.
func (s *Side) restore(ctx context.Context, items ...*format.Item) error {
	batch := s.jobs.Batch(time.Now())
	for _, item := range items {
		batch.Restore(item, 0)
	}
	_, err := batch.Exec(ctx)
	return err
}

// systemItem is an item of a kind that is no run's (redis-queue §6.3).
func (s *Side) systemItem(kind, queue string, fn, app uuid.UUID, payload any) *format.Item {
	const attempts = 21
	most := attempts
	text, _ := format.Raw(payload) // has no raw JSON, which alone could fail
	return &format.Item{
		FunctionID: fn, Environment: s.Environment, Queue: queue,
		Data: format.ItemData{
			GroupID: uuid.NewString(), Environment: s.Environment, Kind: kind, MaxAttempts: &most, Payload: text, Queue: queue,
			Identifier: format.Identifier{FunctionID: fn, AccountID: s.Account, EnvironmentID: s.Environment, AppID: app},
		},
	}
}
