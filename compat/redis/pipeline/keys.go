package pipeline

import (
	"context"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// EachKey calls visit with the names of keys that match the pattern, about size at
// a time, and never twice at once; in a cluster with those of every master. A name
// may come twice.
func EachKey(ctx context.Context, client redis.UniversalClient, pattern string, size int64, visit func(names []string) error) error {
	cluster, ok := client.(*redis.ClusterClient)
	if !ok {
		return eachKeyOf(ctx, client, pattern, size, visit)
	}
	var one sync.Mutex
	return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		return eachKeyOf(ctx, master, pattern, size, func(names []string) error {
			one.Lock()
			defer one.Unlock()
			return visit(names)
		})
	})
}

// eachKeyOf is EachKey for one server.
func eachKeyOf(ctx context.Context, client redis.Cmdable, pattern string, size int64, visit func(names []string) error) error {
	for cursor := uint64(0); ; {
		names, next, err := client.Scan(ctx, cursor, pattern, size).Result()
		if err != nil {
			return fmt.Errorf("list keys %s: %w", pattern, err)
		}
		if len(names) > 0 {
			if err := visit(names); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
