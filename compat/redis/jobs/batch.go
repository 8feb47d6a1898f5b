package jobs

import (
	"context"
	"errors"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

// Batch are operations that happen at one moment: nobody sees some of them and
// not the others, nor does a crash. Each answers for itself.
type Batch struct {
	queue      *Queue
	now        time.Time
	operations []script.Operation
	err        error // of making them
}

// Batch is an empty batch.
func (q *Queue) Batch(now time.Time) *Batch { return &Batch{queue: q, now: now} }

func (b *Batch) add(o script.Operation, err error) {
	o.Always = true
	b.operations = append(b.operations, o)
	b.err = errors.Join(b.err, err)
}

// Enqueue is Queue.Enqueue of one item; it answers with an [Enqueued].
func (b *Batch) Enqueue(item *format.Item) { b.add(enqueueOperation(item, b.now, false)) }

// EnqueueAlone is Enqueue if the item's run has no other item by then.
func (b *Batch) EnqueueAlone(item *format.Item) { b.add(enqueueOperation(item, b.now, true)) }

// Dequeue is Queue.Dequeue; it answers with a [Concluded].
func (b *Batch) Dequeue(e *Entry) { b.add(dequeueOperation(e, e.text)) }

// Drop takes an item away whatever has become of it; it answers with a [Concluded].
func (b *Batch) Drop(e *Entry) { b.add(dequeueOperation(e, "")) }

// Requeue is Queue.Requeue; it answers with a [Concluded].
func (b *Batch) Requeue(e *Entry, change func(*format.Item)) {
	_, o, err := requeueOperation(e, b.now, change)
	b.add(o, err)
}

// Replace makes another job of an item that is as it was read, under the same id, as
// if it had just been enqueued: a sleep goes on as the call after it. It answers with
// a [Concluded].
func (b *Batch) Replace(e *Entry, item *format.Item) {
	_, o, err := replaceOperation(e, b.now, item)
	b.add(o, err)
}

// Concluded is what became of an item that was to leave the queue or go on in it.
type Concluded int

// The answers about such an item.
const (
	ConcludedNow     Concluded = 0
	ConcludedGone    Concluded = 1 // it was not there
	ConcludedChanged Concluded = 2 // it is not as it was read
)

// Exec does the operations and gives their answers in order.
func (b *Batch) Exec(ctx context.Context) ([]int, error) {
	if b.err != nil || len(b.operations) == 0 {
		return nil, b.err
	}
	b.keepSingletons()
	answers, _, err := b.queue.batches.Do(ctx, b.operations...)
	if err != nil {
		return nil, err
	}
	codes := make([]int, len(answers))
	for i, answer := range answers {
		code, _ := answer.(int64)
		codes[i] = int(code)
	}
	return codes, nil
}

// Operations are those of the batch, to be part of a chain.
func (b *Batch) Operations() ([]script.Operation, error) {
	b.keepSingletons()
	return b.operations, b.err
}

// keepSingletons lets runs that go on in the same batch keep their singletons: for
// a moment they have no items.
func (b *Batch) keepSingletons() {
	goesOn := map[any]bool{}
	for _, o := range b.operations {
		if o.Script == scriptEnqueue {
			goesOn[o.Args[enqueueRun]] = true
		}
	}
	for _, o := range b.operations {
		if o.Script == scriptDequeue && goesOn[o.Args[dequeueRun]] {
			o.Args[dequeueFrees] = false
		}
	}
}

// Places among the arguments of scripts.
const (
	enqueueRun   = 8
	dequeueRun   = 6
	dequeueFrees = 7 // the run's singleton, if that was its last item
)

// enqueueOperation enqueues an item; alone, only if its run has no other.
func enqueueOperation(asked *format.Item, now time.Time, alone bool) (script.Operation, error) {
	item := *asked
	score, pointer := schedule(&item, now.UnixMilli())
	return insertOperation(&item, score, pointer, now, inserting{
		locks: item.Data.Singleton != nil && item.Data.Singleton.Key != "", alone: alone,
	})
}

// inserting says when an item is stored.
type inserting struct {
	locks bool // only if it gets its singleton
	alone bool // only if its run has no other
	again bool // also if it was done before
}

// insertOperation stores an item as it is, with its place in line, and lets its
// partition be visited then, in seconds.
func insertOperation(item *format.Item, score, pointer int64, now time.Time, how inserting) (o script.Operation, err error) {
	if err := item.Check(); err != nil {
		return o, err
	}
	text, err := format.Encode(*item)
	if err != nil {
		return o, err
	}
	fresh, err := format.Encode(format.PartitionOf(item))
	if err != nil {
		return o, err
	}
	run := item.Data.Identifier.RunID
	keys, account := pointerKeys(item.Data.Identifier.AccountID)
	singleton := format.ItemsKey
	if how.locks {
		singleton = format.SingletonKey(item.Data.Singleton.Key)
	}
	keys = append(keys, format.SeenKey(item.ID), format.ReadyKey(item.Partition()), singleton, format.SingletonRunKey(run))
	return scriptEnqueue.On(append(keys, format.IndexKeys(item)...), item.ID, text, score, pointer, now.UnixMilli(),
		item.Partition(), fresh, account, run.String(), how.locks, how.alone, how.again), nil
}

// dequeueOperation takes an item away that has that text, "" for any.
func dequeueOperation(e *Entry, text string) (o script.Operation, err error) {
	item := &e.Item
	fresh, err := format.Encode(format.PartitionOf(item))
	if err != nil {
		return o, err
	}
	seconds := int64(format.SeenTTL)
	if item.Idempotency > 0 {
		seconds = item.Idempotency / int64(time.Second)
	}
	indexes := format.IndexKeys(item)
	run := item.Data.Identifier.RunID
	keys, account := pointerKeys(item.Data.Identifier.AccountID)
	keys = append(keys, format.SeenKey(item.ID), format.ReadyKey(item.Partition()), format.ScavengerKey(item.Partition()),
		format.LeasedKey, format.PeekKey(item.ID), format.SingletonRunKey(run))
	return scriptDequeue.On(append(keys, indexes...), item.ID, text, item.Partition(), account, seconds, fresh, run.String(),
		len(indexes) > 0), nil
}

func requeueOperation(e *Entry, now time.Time, change func(*format.Item)) (*Entry, script.Operation, error) {
	ms := now.UnixMilli()
	changed := e.Item
	change(&changed)
	return putBack(e, now, max(changed.At, ms), func(i *format.Item) {
		*i = changed
		i.LeaseID, i.EarliestPeek = nil, 0
		i.Generation++
		i.WallTime, i.EnqueuedAt = max(i.At, ms), ms
		i.RefilledFrom, i.RefilledAt = "", 0
	})
}

func replaceOperation(e *Entry, now time.Time, asked *format.Item) (*Entry, script.Operation, error) {
	item := *asked
	score, _ := schedule(&item, now.UnixMilli())
	if err := item.Check(); err != nil {
		return nil, script.Operation{}, err
	}
	return putBack(e, now, score, func(i *format.Item) { *i = item })
}

// putBack makes an item ready with a score.
func putBack(e *Entry, now time.Time, score int64, change func(*format.Item)) (*Entry, script.Operation, error) {
	next := *e
	next.Item.LeaseID, next.Item.EarliestPeek = nil, 0
	change(&next.Item)
	next.score = score
	var err error
	if next.text, err = format.Encode(next.Item); err != nil {
		return nil, script.Operation{}, err
	}
	fresh, err := format.Encode(format.PartitionOf(&next.Item))
	if err != nil {
		return nil, script.Operation{}, err
	}
	partition, leave := e.Item.Partition(), format.IndexKeys(&e.Item)
	keys, account := pointerKeys(e.Item.Data.Identifier.AccountID)
	keys = append(keys, format.ReadyKey(partition), format.ScavengerKey(partition), format.LeasedKey, format.PeekKey(e.Item.ID))
	keys = append(append(keys, leave...), format.IndexKeys(&next.Item)...)
	return &next, scriptRequeue.On(keys, e.Item.ID, e.text, next.text, next.score, now.UnixMilli(), partition, account, fresh,
		len(leave)), nil
}
