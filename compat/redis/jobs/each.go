package jobs

import (
	"context"
	"fmt"

	"jetstep/compat/redis/format"
)

// EachOf visits the items of a partition, due or not, leased or not: all that were
// there from the beginning to the end, perhaps several times. Those that cannot be
// read are left out.
func (q *Queue) EachOf(ctx context.Context, partition string, visit func(*Entry) error) error {
	// What is given back meanwhile is in the first set again.
	for _, key := range []string{format.ReadyKey(partition), format.ScavengerKey(partition), format.ReadyKey(partition)} {
		for cursor := uint64(0); ; {
			pairs, next, err := q.redis.ZScan(ctx, key, cursor, "", eachPage).Result()
			if err != nil {
				return fmt.Errorf("list items of partition %s: %w", partition, err)
			}
			ids := make([]string, 0, len(pairs)/2)
			for i := 0; i < len(pairs); i += 2 { // members and scores
				ids = append(ids, pairs[i])
			}
			entries, _, err := q.read(ctx, ids)
			if err != nil {
				return err
			}
			for _, e := range entries {
				if e == nil {
					continue
				}
				if err := visit(e); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// eachPage is about how many items are read at once.
const eachPage = 300
