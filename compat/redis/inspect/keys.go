package inspect

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
	"jetstep/compat/redis/pipeline"
)

// keys looks at every key: whether it is of its type, and at runs, pauses and the
// lines of partitions.
func (i *inspection) keys(ctx context.Context) error {
	return pipeline.EachKey(ctx, i.Redis, "{*", batch, func(names []string) error {
		types, err := i.types(ctx, names)
		if err != nil {
			return err
		}
		var live []ulid.ULID
		for n, name := range names {
			pattern, parts, ok := format.Identify(name)
			if !ok {
				continue // somebody else's
			}
			i.summary.Keys++
			if pattern.Type != "" && types[n] != string(pattern.Type) {
				if err := i.wrongType(ctx, name, types[n], pattern.Type); err != nil {
					return err
				}
				continue
			}
			switch pattern.Template {
			case "{estate:<run>}:metadata:<run>":
				live = append(live, theRun(parts["run"]))
			case "{estate}:pause-events:<environment>:<...>":
				err = i.pausesOf(ctx, name)
			case "{queue}:queue:sorted:<...>", "{queue}:scavenger:<...>:sorted":
				err = i.line(ctx, name, parts["..."])
			case "{queue:<function>}:batches:<batch>:metadata":
				err = i.batch(ctx, name, parts["batch"])
			case "{queue}:jetstep:aside:<lease>:<...>", "{estate}:jetstep:aside:<lease>:<...>":
				err = i.asideKey(ctx, name)
			}
			if err != nil {
				return err
			}
		}
		return i.liveRuns(ctx, live)
	})
}

// types are the types of keys; a key that has gone meanwhile has "none".
func (i *inspection) types(ctx context.Context, names []string) ([]string, error) {
	answers := make([]*redis.StatusCmd, len(names))
	_, err := i.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for n, name := range names {
			answers[n] = p.Type(ctx, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read types of keys: %w", err)
	}
	types := make([]string, len(names))
	for n, answer := range answers {
		types[n] = answer.Val()
	}
	return types, nil
}

func (i *inspection) wrongType(ctx context.Context, name, have string, want format.Type) error {
	if have == "none" {
		return nil
	}
	f := Finding{Kind: KeyOfWrongType, Key: name, Reason: fmt.Sprintf("it is a %s, and should be a %s", have, want)}
	return i.found(f, func() (bool, error) { return jobs.SetKeyAside(ctx, i.Redis, jobs.Observer{}, name, want) })
}

// asideKey reports a key that was set aside, since it is of a wrong type.
func (i *inspection) asideKey(ctx context.Context, name string) error {
	f := Finding{Kind: SetAside, Key: name, Reason: "it was of a wrong type, or not to be read"}
	return i.discardable(f, func() error { return i.Redis.Del(ctx, name).Err() })
}

// line looks at a partition that has items, ready or leased: whether its data are
// there. Its pointer is looked at with the data.
func (i *inspection) line(ctx context.Context, key, partition string) error {
	there, err := i.Redis.HExists(ctx, format.PartitionsKey, partition).Result()
	if jobs.IsWrongType(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read partition %s: %w", partition, err)
	}
	if there {
		return nil
	}
	f := Finding{Kind: PartitionMissing, Key: key, Reason: "there are items, and no data of the partition " + partition}
	return i.found(f, func() (bool, error) { return i.jobs.PointBack(ctx, partition, i.now) })
}
