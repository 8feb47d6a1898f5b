package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/script"
)

var (
	scriptDue  = embedded("due")
	scriptPeek = embedded("peek")
)

// Page is what stands in a partition's line, from some place on.
type Page struct {
	// Entries are the items that can be read and are not leased, in order: those of
	// one run and score in the order of their time.
	Entries []*Entry
	// InLine is how many stand there in all: fewer than were asked for means that
	// there are no more.
	InLine int64
	// Damaged tells of those that cannot be read, and were set aside.
	Damaged error
}

// Visit makes the visit of a partition the caller's, and reads so many of its items
// that are due within a second. It tells whether the visit is the caller's, and not
// another's; ErrGone is of a partition that is not there.
func (q *Queue) Visit(ctx context.Context, p *format.Partition, now time.Time, limit int64) (page Page, leased bool, err error) {
	lease, err := leasePartitionOperation(p, now)
	if err != nil {
		return page, false, err
	}
	answers, leased, err := q.visits.Do(ctx, lease, peekOperation(p.ID, now, 0, limit))
	if err != nil {
		return page, false, fmt.Errorf("visit partition %s: %w", p.ID, err)
	}
	if code, _ := answers[0].(int64); code == -1 {
		return page, false, fmt.Errorf("visit partition %s: %w", p.ID, ErrGone)
	}
	if !leased {
		return page, false, nil
	}
	line, _ := answers[1].([]any)
	page, err = q.pageOf(ctx, p.ID, now, line)
	return page, true, err
}

// Peek reads a partition's items that are due within a second, from the offset on.
func (q *Queue) Peek(ctx context.Context, partition string, now time.Time, offset, limit int64) (Page, error) {
	line, err := peekOperation(partition, now, offset, limit).Run(ctx, q.redis).Slice()
	if err != nil {
		return Page{}, fmt.Errorf("peek partition %s: %w", partition, err)
	}
	return q.pageOf(ctx, partition, now, line)
}

func peekOperation(partition string, now time.Time, offset, limit int64) script.Operation {
	until := now.Truncate(time.Second).Add(lookAhead).UnixMilli()
	return scriptPeek.On([]string{format.ItemsKey, format.ReadyKey(partition)}, until, offset, limit)
}

// pageOf reads what the script peek answers: id, score and text of each item. What
// is gone leaves the line.
func (q *Queue) pageOf(ctx context.Context, partition string, now time.Time, line []any) (Page, error) {
	const fields = 3
	page := Page{InLine: int64(len(line) / fields)}
	for ; len(line) >= fields; line = line[fields:] {
		id, _ := line[0].(string)
		place, _ := line[1].(string)
		text, _ := line[2].(string)
		if text == "" {
			if _, err := q.remove(ctx, id, "", partition, nil); err != nil {
				return page, err
			}
			continue
		}
		e, err := entryOf(id, text)
		if err != nil {
			page.Damaged = errors.Join(page.Damaged, err)
			if _, err := q.remove(ctx, id, text, partition, err); err != nil {
				return page, err
			}
			continue
		}
		if leased(e.Item.LeaseID, now) {
			continue
		}
		if e.score, err = scoreOf(place); err != nil {
			return page, fmt.Errorf("peek partition %s: score of %s: %w", partition, id, err)
		}
		page.Entries = append(page.Entries, e)
	}
	slices.SortStableFunc(page.Entries, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(a.Item.At, b.Item.At))
	})
	return page, nil
}

func leasePartitionOperation(p *format.Partition, now time.Time) (o script.Operation, err error) {
	fresh, err := freshen(p)
	if err != nil {
		return o, err
	}
	keys, account := pointerKeys(p.AccountID)
	end := now.Add(PartitionLease)
	return scriptLeasePartition.On(keys, p.ID, newLease(end).String(), now.UnixMilli(), end.Unix(), account, fresh,
		now.Add(FarFuture).UnixMilli()), nil
}

// Leaving is the end of a partition's visit.
type Leaving struct {
	Partition *format.Partition
	At        time.Time // of the next visit, if no item is due before
	Force     bool      // not before then, whatever is enqueued
}

// RequeuePartition ends a visit: the next is then, or when the first ready item is
// due; with force not before then, whatever is enqueued. A partition without
// items goes.
func (q *Queue) RequeuePartition(ctx context.Context, p *format.Partition, at time.Time, force bool) error {
	o, err := (&Leaving{p, at, force}).operation()
	if err == nil {
		err = o.Run(ctx, q.redis).Err()
	}
	if err != nil {
		return fmt.Errorf("requeue partition %s: %w", p.ID, err)
	}
	return nil
}

func (l *Leaving) operation() (o script.Operation, err error) {
	fresh, err := freshen(l.Partition)
	if err != nil {
		return o, err
	}
	id := l.Partition.ID
	keys, account := pointerKeys(l.Partition.AccountID)
	keys = append(keys, format.ReadyKey(id), format.ScavengerKey(id), format.ShadowKey(id))
	return scriptRequeuePartition.On(keys, id, l.At.UnixMilli(), l.Force, account, fresh), nil
}
