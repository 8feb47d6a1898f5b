package inspect

import (
	"context"
	"errors"
	"fmt"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

// asideItems looks at items that were set aside: those that can be executed by now
// are enqueued again.
func (i *inspection) asideItems(ctx context.Context) error {
	return i.eachField(ctx, format.SetAsideKey, func(ids, texts []string) error {
		for n, id := range ids {
			if err := i.asideItem(ctx, id, texts[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (i *inspection) asideItem(ctx context.Context, id, text string) error {
	f := Finding{Kind: SetAside, Key: format.SetAsideKey, Member: id}
	aside, err := format.Decode[format.Aside](format.Place{Key: f.Key, Member: id}, text)
	if err != nil {
		f.Reason = err.Error()
		return i.discardable(f, func() error { return i.Redis.HDel(ctx, f.Key, id).Err() })
	}
	f.Reason = aside.Reason
	item, err := readItem(id, aside.Item)
	if err == nil {
		err = i.runIsThere(ctx, item)
	}
	if err != nil {
		if !jobs.IsDefect(err) {
			return err
		}
		return i.discardable(f, func() error { return i.Redis.HDel(ctx, f.Key, id).Err() })
	}
	return i.found(f, func() (bool, error) {
		if err := i.restore(ctx, item); err != nil {
			return false, err
		}
		return true, i.Redis.HDel(ctx, f.Key, id).Err()
	})
}

// runIsThere is nil for an item whose run can be read, and for one of no run.
func (i *inspection) runIsThere(ctx context.Context, item *format.Item) error {
	if !ofRun(item) {
		return nil
	}
	_, err := i.runs.Load(ctx, item.Data.Identifier.RunID)
	if errors.Is(err, format.ErrNoRun) {
		return &jobs.Defect{Why: jobs.NoRun, Err: err}
	}
	return err
}

// restore enqueues an item that was set aside. Should that break off before the item
// is taken out of what was set aside, the next time finds it enqueued.
func (i *inspection) restore(ctx context.Context, item *format.Item) error {
	item.LeaseID = nil
	if _, err := i.jobs.Enqueue(ctx, i.now, item); err != nil {
		return fmt.Errorf("restore item %s: %w", item.ID, err)
	}
	return nil
}

// asidePauses lists pauses that were set aside. They are not restored: a run that
// comes back says itself what it waits for.
func (i *inspection) asidePauses(ctx context.Context) error {
	return i.eachField(ctx, format.PausesAsideKey, func(ids, texts []string) error {
		for n, id := range ids {
			f := Finding{Kind: SetAside, Key: format.PausesAsideKey, Member: id}
			aside, err := format.Decode[format.Aside](format.Place{Key: f.Key, Member: id}, texts[n])
			f.Reason = aside.Reason
			if err != nil {
				f.Reason = err.Error()
			}
			if err := i.discardable(f, func() error { return i.Redis.HDel(ctx, f.Key, id).Err() }); err != nil {
				return err
			}
		}
		return nil
	})
}

// discardable reports what is only kept, and deletes it when that is asked for.
func (i *inspection) discardable(f Finding, discard func() error) error {
	if !i.Discard {
		return i.found(f, nil)
	}
	f.Discarded = i.Repair
	return i.found(f, func() (bool, error) { return true, discard() })
}
