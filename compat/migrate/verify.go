package migrate

import (
	"context"
	"fmt"
	"time"
)

// Verifying says what to compare.
type Verifying struct {
	A, B Source
	// Differ is called for each item that differs: one that is in both, or only in
	// one. Nil differences say that it is missing in the side of that name.
	Differ func(id ID, missing string, differences []Difference) error
	// Progress is called after each page with how many items were compared so far,
	// and how many differ.
	Progress func(Compared)
}

// Compared counts a comparison.
type Compared struct {
	Items  int   // read, of both sides
	Differ int   // of which differ
	Read   int64 // of what the sides' estimates count
}

// Verify compares both sides item by item, in both directions.
func Verify(ctx context.Context, v Verifying) (Compared, error) {
	var c Compared
	for _, direction := range []struct {
		from, to Source
		back     bool
	}{{v.A, v.B, false}, {v.B, v.A, true}} {
		err := direction.from.Each(ctx, "", func(p Page) error {
			return v.page(ctx, p, direction.from, direction.to, direction.back, &c)
		})
		if err != nil {
			return c, fmt.Errorf("compare %s with %s: %w", direction.from.Name(), direction.to.Name(), err)
		}
	}
	return c, nil
}

// page compares what a page of one side has with the other side; on the way back
// only what is missing is news.
func (v *Verifying) page(ctx context.Context, p Page, from, to Source, back bool, c *Compared) error {
	c.Read += p.Read
	var items []*Item
	var ids []ID
	for i := range p.Items {
		if item := &p.Items[i]; item.Kind.Moves() && to.Keeps(item.Kind) {
			items, ids = append(items, item), append(ids, item.ID)
		}
	}
	found, err := to.Get(ctx, ids)
	if err != nil {
		return err
	}
	for i, there := range found {
		c.Items++
		if there == nil {
			if err := v.missing(ctx, items[i], to, c); err != nil {
				return err
			}
			continue
		}
		if back {
			continue
		}
		if err := v.differ(items[i], there, c); err != nil {
			return err
		}
	}
	if v.Progress != nil {
		v.Progress(*c)
	}
	return nil
}

func (v *Verifying) differ(item, there *Item, c *Compared) error {
	var differences []Difference
	if there.Kind == KindBad {
		differences = []Difference{{Field: "value", Here: "can be read", There: there.Bad.Reason}}
	} else if !ticked(item, there) {
		differences = Compare(item, there)
	}
	if len(differences) == 0 {
		return nil
	}
	c.Differ++
	return v.Differ(item.ID, "", differences)
}

// ticked tells that both are a schedule that is overdue on one side: on the other, where
// its function is registered, it has gone on to a later tick.
func ticked(item, there *Item) bool {
	return item.Cron != nil && there.Cron != nil && min(item.Cron.Next, there.Cron.Next) <= time.Now().UnixMilli()
}

// missing reports an item that one side lacks, unless its time is over, or it says
// nothing: a target gives each run its idempotency key, also where it had ended.
func (v *Verifying) missing(ctx context.Context, item *Item, in Source, c *Compared) error {
	now := time.Now().UnixMilli()
	switch {
	case item.Claim != nil && item.Claim.Until <= now, item.Rate != nil && item.Rate.Until <= now,
		item.Batched != nil && item.Batched.Until <= now:
		return nil
	case item.Semaphore != nil && item.Semaphore.Used == 0:
		return nil
	case item.Claim != nil && !item.Claim.Ended:
		run, err := in.Get(ctx, []ID{{KindRun, item.Claim.RunID.String()}})
		if err != nil {
			return err
		}
		if run[0] != nil {
			return nil
		}
	}
	c.Differ++
	return v.Differ(item.ID, in.Name(), nil)
}
