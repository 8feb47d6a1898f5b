package bus

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// The keys of JETSTEP_CLUSTER: a lease for each partition, and one for each
// process that takes partitions. Both end by themselves.
const (
	leasePrefix = "lease."
	nodePrefix  = "node."
)

// Cluster is who shares the partitions, as it was at one moment.
type Cluster struct {
	Nodes   []string       // the processes that take partitions, in order
	Holders map[int]string // who has the lease of a partition; none for a free one
}

// holder is the value of a lease.
type holder struct {
	Node  string `json:"node"`
	Lease string `json:"lease"` // this one among all others
}

// Shared tells whether other processes can be on this NATS.
func (b *Bus) Shared() bool { return b.gossip.Load() != nil }

// Attend says that node takes partitions, which is forgotten after LeaseTTL, and
// tells who else does, and who has which.
func (b *Bus) Attend(ctx context.Context, node string) (Cluster, error) {
	kv, err := b.leases(ctx)
	if err == nil {
		_, err = kv.PutString(ctx, nodeKey(node), node)
	}
	if err != nil {
		return Cluster{}, fmt.Errorf("join the cluster: %w", err)
	}
	c, err := readCluster(ctx, kv)
	if err != nil {
		return Cluster{}, fmt.Errorf("read who is in the cluster: %w", err)
	}
	return c, nil
}

// Leave says that node takes no more partitions.
func (b *Bus) Leave(ctx context.Context, node string) error {
	kv, err := b.leases(ctx)
	if err == nil {
		err = kv.Purge(ctx, nodeKey(node))
	}
	if err != nil {
		return fmt.Errorf("leave the cluster: %w", err)
	}
	return nil
}

// nodeKey is the key of a process, whose name may have what keys may not.
func nodeKey(node string) string {
	return nodePrefix + base64.RawURLEncoding.EncodeToString([]byte(node))
}

func readCluster(ctx context.Context, kv jetstream.KeyValue) (Cluster, error) {
	c := Cluster{Holders: map[int]string{}}
	watcher, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return c, err
	}
	defer func() { _ = watcher.Stop() }() // the connection may be gone: nothing to undo
	for {
		select {
		case entry, ok := <-watcher.Updates():
			if !ok {
				return c, errors.New("the connection was closed meanwhile")
			}
			if entry == nil { // that is all
				slices.Sort(c.Nodes)
				return c, nil
			}
			c.add(entry)
		case <-ctx.Done():
			return c, context.Cause(ctx)
		}
	}
}

// add takes an entry of the bucket. What others may have put there is not for us.
func (c *Cluster) add(entry jetstream.KeyValueEntry) {
	if strings.HasPrefix(entry.Key(), nodePrefix) {
		c.Nodes = append(c.Nodes, string(entry.Value()))
		return
	}
	p, isLease := strings.CutPrefix(entry.Key(), leasePrefix)
	number, err := strconv.Atoi(p)
	if !isLease || err != nil {
		return
	}
	var h holder
	if json.Unmarshal(entry.Value(), &h) == nil {
		c.Holders[number] = h.Node
	}
}
