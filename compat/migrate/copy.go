package migrate

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// Copying says how to copy.
type Copying struct {
	From Source
	To   Target
	// DryRun only reads, also the target, and counts what would be written.
	DryRun bool
	// After is how far an earlier copy came, and Counted what it counted until
	// then; nil for none.
	After   Position
	Counted *Summary
	// Done is called when everything up to a position is durable in the target:
	// what a further copy may begin with. Nil for nobody.
	Done func(Position, *Summary) error
	// Report is called for each item that is not in the target as it should be.
	Report func(Report) error
}

// Report says why an item is not in the target as it should be.
type Report struct {
	ID
	Result Result // Refused for what cannot be read
	Reason string
	Value  string // as it is, of what cannot be read
}

// Copy copies. It tells what it counted, also when it was interrupted. An error of
// the source, the target or of Done ends it; what is there stays, and a further
// copy goes on.
func Copy(ctx context.Context, c Copying) (*Summary, error) {
	summary := c.Counted
	if summary == nil {
		summary = NewSummary()
	}
	pages := make(chan Page, 1) // one is read while another is written
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer close(pages)
		err := c.From.Each(ctx, c.After, func(p Page) error {
			select {
			case pages <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		if err != nil {
			return fmt.Errorf("read %s: %w", c.From.Name(), err)
		}
		return nil
	})
	both.Go(func() error {
		for p := range pages {
			if err := c.page(ctx, p, summary); err != nil {
				return err
			}
		}
		return nil
	})
	return summary, both.Wait()
}

// page writes one page, and says so.
func (c *Copying) page(ctx context.Context, p Page, s *Summary) error {
	var moving []Item
	s.Read += p.Read
	for i := range p.Items {
		item := &p.Items[i]
		s.found(item)
		switch {
		case item.Kind == KindBad:
			if err := c.Report(Report{item.ID, Refused, item.Bad.Reason, item.Bad.Value}); err != nil {
				return err
			}
		case !item.Kind.Moves():
		case !c.To.Keeps(item.Kind):
			s.Of(item.Kind).NotKept++
		default:
			moving = append(moving, *item)
		}
	}
	if len(moving) > 0 {
		outcomes, err := c.put(ctx, moving)
		if err != nil {
			return fmt.Errorf("write %s: %w", c.To.Name(), err)
		}
		for i, o := range outcomes {
			s.became(moving[i].Kind, o.Result)
			if o.Result.OK() {
				continue
			}
			if err := c.Report(Report{ID: moving[i].ID, Result: o.Result, Reason: o.Reason}); err != nil {
				return err
			}
		}
	}
	if c.Done == nil {
		return nil
	}
	return c.Done(p.After, s.clone())
}

// put writes items, or tells what writing them would do, as far as that can be
// told by reading.
func (c *Copying) put(ctx context.Context, items []Item) ([]Outcome, error) {
	if !c.DryRun {
		return c.To.Put(ctx, items)
	}
	ids := make([]ID, len(items))
	for i := range items {
		ids[i] = items[i].ID
	}
	there, err := c.To.Get(ctx, ids)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(items))
	for i, found := range there {
		switch {
		case found == nil:
			outcomes[i].Result = Written
		case found.Kind == KindBad:
			outcomes[i] = Outcome{Conflicts, found.Bad.Reason}
		default:
			outcomes[i] = Differs(&items[i], found)
		}
	}
	return outcomes, nil
}
