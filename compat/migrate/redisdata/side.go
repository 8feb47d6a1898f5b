package redisdata

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/runs"
)

// Config says which Redis it is.
type Config struct {
	Redis redis.UniversalClient
	Name  string // its address without secrets
	// Account and Environment are whose what is written is.
	Account     uuid.UUID
	Environment uuid.UUID
}

// Side is a Redis as a side of a migration. It is not safe for concurrent use.
type Side struct {
	Config
	runs *runs.Store
	jobs *jobs.Queue
}

// Open is the side in a Redis.
func Open(c Config) *Side {
	return &Side{Config: c, runs: runs.NewStore(c.Redis), jobs: jobs.NewQueue(c.Redis)}
}

var _ migrate.Target = (*Side)(nil)

// Name implements migrate.Source.
func (s *Side) Name() string { return s.Config.Name }

// Keeps implements migrate.Source: a Redis has a place for everything.
func (s *Side) Keeps(k migrate.Kind) bool { return k.Moves() }

// roles are held by processes that execute what is in a Redis, and renewed every
// few seconds.
var roles = []string{format.RoleSequentialKey, format.RoleScavengerKey, format.RoleInstrumentsKey, format.RoleLatencyKey}

// Busy implements migrate.Source: a process holds a role. One that has ended
// without giving it back seems to hold it for ten seconds.
func (s *Side) Busy(ctx context.Context) (string, error) {
	now := time.Now().UnixMilli()
	for _, role := range roles {
		lease, err := s.Redis.Get(ctx, role).Result()
		if err != nil && err != redis.Nil {
			return "", fmt.Errorf("read the role %s: %w", role, err)
		}
		if end := format.LeaseText(lease); end > now {
			return fmt.Sprintf("a process executes what is there: it holds %s until %s", role,
				time.UnixMilli(end).UTC().Format(time.TimeOnly)), nil
		}
	}
	return "", nil
}

// Estimate implements migrate.Source: keys, and what is in the hashes that are
// read by themselves.
func (s *Side) Estimate(ctx context.Context) (int64, error) {
	total := int64(0)
	nodes, err := s.nodes(ctx)
	if err != nil {
		return 0, err
	}
	for _, n := range nodes {
		size, err := n.client.DBSize(ctx).Result()
		if err != nil {
			return 0, fmt.Errorf("count the keys: %w", err)
		}
		total += size
	}
	for _, key := range hashes {
		size, err := s.Redis.HLen(ctx, key).Result()
		if err != nil {
			continue // of another type: it is reported when it is read
		}
		total += size
	}
	return total, nil
}

// node is a server whose keys are scanned.
type node struct {
	address string
	client  redis.Cmdable
}

// nodes are the masters of a cluster in order, or the one server there is.
func (s *Side) nodes(ctx context.Context) ([]node, error) {
	cluster, ok := s.Redis.(*redis.ClusterClient)
	if !ok {
		return []node{{"-", s.Redis}}, nil
	}
	var mu sync.Mutex
	var all []node
	err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, node{c.Options().Addr, c})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the masters: %w", err)
	}
	slices.SortFunc(all, func(a, b node) int { return cmp.Compare(a.address, b.address) })
	return all, nil
}
