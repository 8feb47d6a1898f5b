package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/engine"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
)

// item is an item with where it stands.
type item struct {
	*format.Item
	text          string
	ready, leased *redis.FloatCmd // its score there
	indexed       *redis.FloatCmd // in the run's index
	run           *redis.BoolCmd  // whether its run is there
}

// items looks at every item.
func (i *inspection) items(ctx context.Context) error {
	return i.eachField(ctx, format.ItemsKey, func(ids, texts []string) error {
		var all []*item
		for n, id := range ids {
			i.summary.Items++
			read, err := readItem(id, texts[n])
			if err != nil {
				if err := i.unfit(ctx, id, texts[n], read, err); err != nil {
					return err
				}
				continue
			}
			all = append(all, &item{Item: read, text: texts[n]})
		}
		return i.lookAt(ctx, all)
	})
}

// readItem reads an item that can be executed; the error says why it cannot.
func readItem(id, text string) (*format.Item, error) {
	read, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: id}, text)
	if err != nil {
		return nil, err
	}
	read.ID = id
	if defect := engine.Unfit(&read); defect != nil {
		return &read, defect
	}
	return &read, nil
}

func (i *inspection) unfit(ctx context.Context, id, text string, read *format.Item, reason error) error {
	f := Finding{Kind: ItemUnreadable, Key: format.ItemsKey, Member: id, Reason: reason.Error()}
	return i.found(f, func() (bool, error) {
		partition := ""
		if read != nil {
			partition = read.Partition()
		}
		return i.jobs.SetTextAside(ctx, id, text, partition, reason)
	})
}

// lookAt looks where items stand.
func (i *inspection) lookAt(ctx context.Context, all []*item) error {
	if len(all) == 0 {
		return nil
	}
	if err := i.whereabouts(ctx, all); err != nil {
		return err
	}
	for _, it := range all {
		if err := i.judge(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// whereabouts reads where items stand; for each at one moment.
func (i *inspection) whereabouts(ctx context.Context, all []*item) error {
	_, err := i.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, it := range all {
			it.ready = p.ZScore(ctx, format.ReadyKey(it.Partition()), it.ID)
			it.leased = p.ZScore(ctx, format.ScavengerKey(it.Partition()), it.ID)
			if ofRun(it.Item) {
				it.indexed = p.ZScore(ctx, format.RunIndexKey(it.Data.Identifier.RunID), it.ID)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) && !jobs.IsWrongType(err) {
		return fmt.Errorf("look for items: %w", err)
	}
	err = pipeline.Do(ctx, i.Redis, func(p redis.Pipeliner) {
		for _, it := range all {
			if ofRun(it.Item) {
				it.run = p.HExists(ctx, format.MetadataKey(it.Data.Identifier.RunID), format.FieldID)
			}
		}
	})
	if err != nil {
		return fmt.Errorf("look for runs of items: %w", err)
	}
	return nil
}

// ofRun tells whether an item is a job of a run.
func ofRun(it *format.Item) bool {
	return it.Data.Identifier.RunID != ulid.ULID{} && len(format.IndexKeys(it)) > 0
}

func absent(c *redis.FloatCmd) bool { return errors.Is(c.Err(), redis.Nil) }

// judge reports what is wrong with an item, if anything is.
func (i *inspection) judge(ctx context.Context, it *item) error {
	f := Finding{Key: format.ItemsKey, Member: it.ID}
	if it.run != nil && it.run.Err() == nil && !it.run.Val() {
		f.Kind, f.Reason = ItemWithoutRun, fmt.Sprintf("the state of run %s is gone", it.Data.Identifier.RunID)
		return i.found(f, func() (bool, error) {
			defect := &jobs.Defect{Why: jobs.NoRun, Err: errors.New(f.Reason)}
			return i.jobs.SetTextAside(ctx, it.ID, it.text, it.Partition(), defect)
		})
	}
	far := i.now.Add(jobs.FarFuture).UnixMilli()
	switch {
	case it.LeaseID != nil && format.LeaseExpiry(*it.LeaseID) > far, it.leased.Err() == nil && it.leased.Val() > float64(far):
		f.Kind, f.Reason = LeaseFarFuture, "its lease ends in the far future: nobody has it"
		return i.found(f, func() (bool, error) { return i.jobs.EndLease(ctx, it.Partition(), it.ID, i.now) })
	case it.ready.Err() == nil && it.leased.Err() == nil:
		f.Kind, f.Reason = ItemTwice, "it is ready and leased at once"
		return i.found(f, func() (bool, error) { return i.keepOne(ctx, it) })
	case absent(it.ready) && absent(it.leased):
		resting, err := i.resting(ctx, it)
		if err != nil || resting {
			return err
		}
		f.Kind, f.Reason = ItemLost, "it stands in no line of the partition "+it.Partition()
		return i.found(f, func() (bool, error) { return i.jobs.LineUp(ctx, it.ID, it.text, i.now) })
	case it.ready.Err() == nil && math.IsInf(it.ready.Val(), 1):
		f.Kind, f.Reason = ItemScore, "it is due after all time"
		return i.found(f, func() (bool, error) { return i.jobs.LineUp(ctx, it.ID, it.text, i.now) })
	}
	if it.indexed != nil && absent(it.indexed) {
		f.Kind, f.Reason = ItemUnindexed, fmt.Sprintf("the index of run %s has it not", it.Data.Identifier.RunID)
		return i.found(f, func() (bool, error) { return i.index(ctx, it) })
	}
	return nil
}

// keepOne leaves an item in the line that its lease says.
func (i *inspection) keepOne(ctx context.Context, it *item) (bool, error) {
	key := format.ScavengerKey(it.Partition())
	if format.Leased(it.LeaseID, i.now.UnixMilli()) {
		key = format.ReadyKey(it.Partition())
	}
	n, err := i.Redis.ZRem(ctx, key, it.ID).Result()
	return n > 0, err
}

// index puts an item into the indexes that it lacks.
func (i *inspection) index(ctx context.Context, it *item) (bool, error) {
	score := float64(it.At)
	if it.ready.Err() == nil {
		score = it.ready.Val()
	}
	_, err := i.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range format.IndexKeys(it.Item) {
			p.ZAddNX(ctx, key, redis.Z{Score: score, Member: it.ID})
		}
		return nil
	})
	return err == nil, err
}

// resting tells whether an item is in a backlog of its partition (redis-queue §21).
func (i *inspection) resting(ctx context.Context, it *item) (bool, error) {
	backlogs, err := i.Redis.ZRange(ctx, format.ShadowKey(it.Partition()), 0, -1).Result()
	if err != nil && !jobs.IsWrongType(err) {
		return false, fmt.Errorf("list backlogs of %s: %w", it.Partition(), err)
	}
	for _, backlog := range backlogs {
		err := i.Redis.ZScore(ctx, format.BacklogKeyOf(backlog), it.ID).Err()
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, redis.Nil) && !jobs.IsWrongType(err) {
			return false, fmt.Errorf("look into backlog %s: %w", backlog, err)
		}
	}
	// It may have been executed, or have become ready, since it was listed.
	now, err := i.Redis.HGet(ctx, format.ItemsKey, it.ID).Result()
	if errors.Is(err, redis.Nil) || err == nil && now != it.text {
		return true, nil
	}
	return false, err
}
