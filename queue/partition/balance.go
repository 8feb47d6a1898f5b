package partition

import (
	"context"
	"slices"
	"time"

	"jetstep/bus"
)

const (
	// balanceEvery is how often a process looks who shares the partitions.
	balanceEvery = bus.LeaseTTL / 3
	// hesitation is how long one that has more than another leaves a free
	// partition to it.
	hesitation = bus.LeaseTTL / 6
	// emptyWithin is how long a partition that is to be handed over hands out no
	// jobs, while calls that are under way end. If one lasts longer the partition
	// stays for now: in another process it would be called again.
	emptyWithin = bus.LeaseTTL / 4
)

// balance keeps the partitions spread evenly among the processes, until ctx ends:
// who has two more than another one gives one of them up.
func (n *Node) balance(ctx context.Context) {
	ticker := time.NewTicker(balanceEvery)
	defer ticker.Stop()
	for turn := 0; ctx.Err() == nil; turn++ {
		c, err := n.attend(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Debug("not known who shares the partitions", "error", err)
		}
		n.cluster.Store(&c)
		if p, ok := surplus(&c, n.name, turn); ok {
			n.giveUp(ctx, p)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), balanceEvery)
	defer cancel()
	if err := n.bus.Leave(leaving, n.name); err != nil {
		n.log.Debug("others will find out that this process is gone", "error", err)
	}
}

func (n *Node) attend(ctx context.Context) (bus.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, balanceEvery)
	defer cancel()
	return n.bus.Attend(ctx, n.name)
}

// surplus is a partition that a process should give up: one of those who have
// the most, if another one has less by two. In each turn it is another one.
func surplus(c *bus.Cluster, self string, turn int) (p int, ok bool) {
	least, most := extent(c, "")
	mine := held(c, self)
	if len(mine) < most || len(mine)-least < 2 {
		return 0, false
	}
	return mine[turn%len(mine)], true
}

// extent is the least and the largest number of partitions that a process of the
// cluster has, without one of them. Leases of who is not in it do not count.
func extent(c *bus.Cluster, without string) (least, most int) {
	first := true
	for _, node := range c.Nodes {
		if node == without {
			continue
		}
		count := len(held(c, node))
		if first || count < least {
			least = count
		}
		first, most = false, max(most, count)
	}
	return least, most
}

// held are the partitions of a process, in order.
func held(c *bus.Cluster, node string) []int {
	var all []int
	for p, holder := range c.Holders {
		if holder == node {
			all = append(all, p)
		}
	}
	slices.Sort(all)
	return all
}

// giveUp hands a partition over, unless calls of its runs go on for long.
func (n *Node) giveUp(ctx context.Context, p int) {
	o := n.owner(p)
	if o == nil || !o.empty(ctx, emptyWithin) {
		return
	}
	n.log.Info("partition is given up: another process has fewer", "partition", p)
	o.leave <- struct{}{}
}

// hesitate tells how long a free partition is left to others.
func (n *Node) hesitate() time.Duration {
	c := n.cluster.Load()
	if c == nil || len(c.Nodes) == 0 || len(c.Nodes) == 1 && c.Nodes[0] == n.name {
		return 0
	}
	if least, _ := extent(c, n.name); n.count() > least {
		return hesitation
	}
	return 0
}

// count is how many partitions this process serves, or is about to.
func (n *Node) count() int {
	count := 0
	for p := range n.owners {
		if n.owner(p) != nil || n.loading[p].Load() {
			count++
		}
	}
	return count
}

// Elsewhere tells whether another process has the lease of a partition.
func (n *Node) Elsewhere(p int) bool {
	c := n.cluster.Load()
	if c == nil {
		return false
	}
	holder, ok := c.Holders[p]
	return ok && holder != n.name
}
