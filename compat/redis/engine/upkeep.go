package engine

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

// renew keeps the leases of what is being executed.
func (n *Node) renew(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, h := range n.allHeld() {
			if err := n.extend(ctx, h); ctx.Err() == nil {
				n.outage.note(triesLeases+" held", err)
			}
		}
	}
}

// scavenge puts back what others were executing when they died, as long as this
// process has that role, and puts right or aside what is not as it should be.
func (n *Node) scavenge(ctx context.Context) {
	ticker := time.NewTicker(capacityEvery)
	defer ticker.Stop()
	_, err := n.jobs.Drain(ctx)
	role := scavenger{Node: n, last: time.Now()}
	for again := n.outage.note(triesBacklogs, err); sleep(ctx, again); {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			_, err := n.jobs.ScavengeCapacity(ctx, now)
			if err = errors.Join(err, n.judge(ctx, now)); ctx.Err() == nil {
				again = n.outage.note(triesCapacity, err)
			}
			if err == nil && now.Sub(role.asked) >= roleEvery {
				if err = role.act(ctx, now); ctx.Err() == nil {
					again = n.outage.note(triesLeases, err)
				}
			}
		}
	}
}

// scavenger is the role of one process of all.
type scavenger struct {
	*Node
	lease       ulid.ULID
	asked, last time.Time
}

func (s *scavenger) act(ctx context.Context, now time.Time) (err error) {
	s.asked = now
	s.lease, err = s.jobs.TakeRole(ctx, format.RoleScavengerKey, s.lease, now)
	if err != nil || s.lease == (ulid.ULID{}) || now.Sub(s.last) < scavengeEvery {
		return err
	}
	s.last = now
	_, err = s.jobs.Scavenge(ctx, now)
	_, drainErr := s.jobs.Drain(ctx)
	_, sweepErr := s.jobs.Sweep(ctx, now)
	if err = errors.Join(err, drainErr, sweepErr); jobs.IsDefect(err) {
		s.Log.Error("items set aside: they cannot be read", "error", err)
		return nil
	}
	return err
}
