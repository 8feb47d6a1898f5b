package jobs

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

//go:embed lua/*.lua
var sources embed.FS

func embedded(names ...string) *script.Script { return script.New(script.Source(sources, names...)) }

var (
	scriptEnqueue          = embedded("earliest", "pointers", "enqueue")
	scriptLeasePartition   = embedded("earliest", "pointers", "lease_partition")
	scriptRequeuePartition = embedded("earliest", "pointers", "requeue_partition")
	scriptLeaseItem        = embedded("earliest", "lease_item")
	scriptDequeue          = embedded("earliest", "pointers", "dequeue")
	scriptRequeue          = embedded("earliest", "pointers", "requeue")
	scriptRemove           = embedded("earliest", "remove")
	scriptPointBack        = embedded("earliest", "pointers", "point_back")
	scriptRestore          = embedded("earliest", "pointers", "restore_partition")
	scriptChange           = embedded("change")
	scriptDrain            = embedded("earliest", "pointers", "drain")
	scriptItemsOfRun       = embedded("items_of_run")
	scriptTakeRole         = embedded("take_role")
	scriptAcquire          = embedded("limits", "acquire")
	scriptExtendCapacity   = embedded("earliest", "limits", "extend_capacity")
	scriptReleaseSemaphore = embedded("release_semaphore")
	scriptReleaseCapacity  = embedded("earliest", "limits", "release_capacity")
)

// Queue is the job queue in one Redis. It is safe for concurrent use.
type Queue struct {
	redis redis.UniversalClient
	// Observer may be set before the queue is used.
	Observer Observer
	// batches does what happens at one moment.
	batches *script.Chain
	visits  *script.Chain
}

// NewQueue is the queue in that Redis.
func NewQueue(client redis.UniversalClient) *Queue {
	return &Queue{
		redis:   client,
		batches: script.NewChain(client, scriptEnqueue, scriptDequeue, scriptRequeue),
		visits:  script.NewChain(client, scriptLeasePartition, scriptPeek),
	}
}

// The answers of operations on an item that is not as it was read.
var (
	ErrGone    = errors.New("the item is not there any more")
	ErrChanged = errors.New("the item has changed since it was read")
)

// LostRace tells that an error means that somebody else was faster with an item.
func LostRace(err error) bool { return errors.Is(err, ErrChanged) || errors.Is(err, ErrGone) }

// Entry is an item as it was read.
type Entry struct {
	Item format.Item
	text string
	// score is what it has among the ready ones.
	score int64
}

// entryOf reads an item's text.
func entryOf(id, text string) (*Entry, error) {
	item, err := format.Decode[format.Item](format.Place{Key: format.ItemsKey, Member: id}, text)
	if err != nil {
		return nil, err
	}
	item.ID = id
	return &Entry{Item: item, text: text}, nil
}

// pointerKeys are what lua/pointers.lua wants first, and the account's name
// there, "" for none.
func pointerKeys(account uuid.UUID) (keys []string, name string) {
	keys = []string{
		format.ItemsKey, format.PartitionsKey, format.PointersKey, format.AccountPointersKey(account), format.AccountsKey,
	}
	if account != uuid.Nil {
		name = account.String()
	}
	return keys, name
}

// Enqueued is what became of an item that was to be enqueued.
type Enqueued int

// The outcomes of enqueuing.
const (
	EnqueuedNow       Enqueued = 0
	EnqueuedBefore    Enqueued = 1 // it is there, or was done within the last hour
	EnqueuedSingleton Enqueued = 2 // another run has its singleton's key
	EnqueuedNot       Enqueued = 3 // its run has another item (Batch.EnqueueAlone)
)

// Enqueue enqueues items, whose ids and data are set, to be executed when their
// At says: all or none, unless they are there.
func (q *Queue) Enqueue(ctx context.Context, now time.Time, items ...*format.Item) ([]Enqueued, error) {
	b := q.Batch(now)
	for _, item := range items {
		b.Enqueue(item)
	}
	codes, err := b.Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("enqueue: %w", err)
	}
	results := make([]Enqueued, len(codes))
	for i, code := range codes {
		results[i] = Enqueued(code)
	}
	return results, nil
}

// Dequeue takes an item away that is as it was read. It is remembered, so that
// it is not enqueued again soon.
func (q *Queue) Dequeue(ctx context.Context, e *Entry) error {
	o, err := dequeueOperation(e, e.text)
	return q.one(ctx, "dequeue", e, o, err)
}

// Requeue puts an item back that is as it was read, as the change makes it, to
// be executed when its At says then. One whose time has passed takes its place in
// line as of now. Its lease ends and its generation counts on (redis-queue §9.8).
func (q *Queue) Requeue(ctx context.Context, e *Entry, now time.Time, change func(*format.Item)) (*Entry, error) {
	next, o, err := requeueOperation(e, now, change)
	return next, q.one(ctx, "requeue", e, o, err)
}

// Release puts an item back that is as it was read, as if it had not been leased.
func (q *Queue) Release(ctx context.Context, e *Entry, now time.Time) (*Entry, error) {
	score := e.score
	if score == 0 {
		score = e.Item.At
	}
	next, o, err := putBack(e, now, score, func(*format.Item) {})
	return next, q.one(ctx, "release", e, o, err)
}

// Change writes an item that is as it was read without moving it: who has leased
// it keeps it.
func (q *Queue) Change(ctx context.Context, e *Entry, change func(*format.Item)) (*Entry, error) {
	next := *e
	change(&next.Item)
	var err error
	if next.text, err = format.Encode(next.Item); err != nil {
		return nil, err
	}
	o := scriptChange.On([]string{format.ItemsKey}, e.Item.ID, e.text, next.text)
	return &next, q.one(ctx, "change", e, o, nil)
}

// one does an operation on an item. err is that of making it.
func (q *Queue) one(ctx context.Context, what string, e *Entry, o script.Operation, err error) error {
	code := 0
	if err == nil {
		code, err = o.Run(ctx, q.redis).Int()
	}
	return outcome(what, e.Item.ID, code, err)
}

// outcome is the error of an operation on an item that answers 0, 1 for an item
// that is gone, and 2 for one that has changed.
func outcome(what, id string, code int, err error) error {
	switch {
	case err != nil:
	case code == 1:
		err = ErrGone
	case code == 2:
		err = ErrChanged
	default:
		return nil
	}
	return fmt.Errorf("%s item %s: %w", what, id, err)
}

// Get reads an item; ErrGone when it is not there.
func (q *Queue) Get(ctx context.Context, id string) (*Entry, error) {
	entries, damaged, err := q.read(ctx, []string{id})
	if err = errors.Join(err, damaged); err != nil {
		return nil, err
	}
	if entries[0] == nil {
		return nil, fmt.Errorf("read item %s: %w", id, ErrGone)
	}
	return entries[0], nil
}

// OfRun reads the items of a run, ready or leased. Those that cannot be read are
// an error of their own.
func (q *Queue) OfRun(ctx context.Context, run ulid.ULID) (there []*Entry, damaged, err error) {
	list, err := ItemsOperation(run).Run(ctx, q.redis).Slice()
	if err != nil {
		return nil, nil, fmt.Errorf("list items of run %s: %w", run, err)
	}
	return ItemsIn(run, list)
}

// ItemsOperation is OfRun as part of a chain: it answers with a list, which is for
// [ItemsIn].
func ItemsOperation(run ulid.ULID) script.Operation {
	return scriptItemsOfRun.On([]string{format.RunIndexKey(run), format.ItemsKey})
}

// ItemsIn are the items of a run in what ItemsOperation answers: id, score and text
// of each. Of those that are as one that is known, that is given.
func ItemsIn(run ulid.ULID, list []any, known ...*Entry) (there []*Entry, damaged, err error) {
	const fields = 3
	for ; len(list) >= fields; list = list[fields:] {
		id, _ := list[0].(string)
		place, _ := list[1].(string)
		text, _ := list[2].(string)
		if text == "" {
			continue
		}
		e, err := entryAmong(known, id, text)
		if err != nil {
			damaged = errors.Join(damaged, err)
			continue
		}
		if e.score, err = scoreOf(place); err != nil {
			return nil, nil, fmt.Errorf("list items of run %s: score of %s: %w", run, id, err)
		}
		there = append(there, e)
	}
	return there, damaged, nil
}

// scoreOf reads a score, in milliseconds.
func scoreOf(text string) (int64, error) {
	score, err := strconv.ParseFloat(text, 64)
	return int64(score), err
}

// entryAmong reads an item, unless it is known with that text.
func entryAmong(known []*Entry, id, text string) (*Entry, error) {
	for _, k := range known {
		if k != nil && k.Item.ID == id && k.text == text {
			same := *k
			return &same, nil
		}
	}
	return entryOf(id, text)
}

// read gives an entry for each id, nil for one that is not there or that cannot
// be read.
func (q *Queue) read(ctx context.Context, ids []string) (entries []*Entry, damaged, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	texts, err := q.redis.HMGet(ctx, format.ItemsKey, ids...).Result()
	if err != nil {
		return nil, nil, fmt.Errorf("read items: %w", err)
	}
	entries = make([]*Entry, len(ids))
	for i, text := range texts {
		s, ok := text.(string)
		if !ok {
			continue
		}
		if entries[i], err = entryOf(ids[i], s); err != nil {
			damaged = errors.Join(damaged, err)
		}
	}
	return entries, damaged, nil
}

// decimal is a number as an argument of a command.
func decimal(n int64) string { return strconv.FormatInt(n, 10) }
