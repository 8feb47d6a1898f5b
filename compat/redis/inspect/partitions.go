package inspect

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"jetstep/compat/redis/format"
	"jetstep/compat/redis/jobs"
)

// partitions looks at the data of partitions, and at the pointers that lead to
// them.
func (i *inspection) partitions(ctx context.Context) error {
	return i.eachField(ctx, format.PartitionsKey, func(names, texts []string) error {
		for n, name := range names {
			if err := i.partition(ctx, name, texts[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (i *inspection) partition(ctx context.Context, name, text string) error {
	f := Finding{Key: format.PartitionsKey, Member: name}
	p, err := format.Decode[format.Partition](format.Place{Key: format.PartitionsKey, Member: name}, text)
	if err != nil {
		f.Kind, f.Reason = PartitionUnreadable, err.Error()
		if err := i.found(f, func() (bool, error) { return i.jobs.Refresh(ctx, name, text) }); err != nil {
			return err
		}
	} else if far := i.now.Add(jobs.FarFuture).UnixMilli(); format.Leased(p.LeaseID, far) {
		f.Kind, f.Reason = LeaseFarFuture, "its lease ends in the far future: nobody visits it"
		if err := i.found(f, func() (bool, error) { return i.jobs.Refresh(ctx, name, text) }); err != nil {
			return err
		}
	}
	wrong, err := i.jobs.Misled(ctx, name, text, i.now)
	if err != nil && !jobs.IsDefect(err) {
		return err
	}
	if !wrong {
		return nil
	}
	f.Kind, f.Key, f.Reason = PointerMissing, format.PointersKey, "no pointer leads to its items in time"
	return i.found(f, func() (bool, error) { return i.jobs.PointBack(ctx, name, i.now) })
}

// pointers looks at pointers to nothing. One to a partition without items is as it
// should be: the next visit removes it.
func (i *inspection) pointers(ctx context.Context) error {
	if err := i.pointersIn(ctx, format.PointersKey); err != nil {
		return err
	}
	accounts, err := i.Redis.ZRange(ctx, format.AccountsKey, 0, -1).Result()
	if err != nil && !jobs.IsWrongType(err) {
		return fmt.Errorf("list accounts: %w", err)
	}
	for _, name := range accounts {
		account, err := format.ParseUUID(name)
		if err != nil || account == uuid.Nil {
			continue
		}
		if err := i.pointersIn(ctx, format.AccountPointersKey(account)); err != nil {
			return err
		}
	}
	return nil
}

func (i *inspection) pointersIn(ctx context.Context, key string) error {
	for cursor := uint64(0); ; {
		all, next, err := i.Redis.ZScan(ctx, key, cursor, "", batch).Result()
		if jobs.IsWrongType(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		for n := 0; n < len(all); n += 2 {
			if err := i.pointer(ctx, key, all[n]); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

func (i *inspection) pointer(ctx context.Context, key, name string) error {
	var data *redis.BoolCmd
	var items *redis.IntCmd
	_, err := i.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		data = p.HExists(ctx, format.PartitionsKey, name)
		items = p.Exists(ctx, format.ReadyKey(name), format.ScavengerKey(name), format.ShadowKey(name))
		return nil
	})
	if err != nil && !jobs.IsWrongType(err) {
		return fmt.Errorf("look behind a pointer: %w", err)
	}
	if errors.Join(data.Err(), items.Err()) != nil || data.Val() || items.Val() > 0 {
		return nil // items without data are told where they are
	}
	f := Finding{Kind: PointerToNothing, Key: key, Member: name, Reason: "there is no such partition"}
	return i.found(f, func() (bool, error) {
		n, err := i.Redis.ZRem(ctx, key, name).Result()
		return n > 0, err
	})
}

// capacity looks for capacity leases that never end.
func (i *inspection) capacity(ctx context.Context) error {
	leases, err := i.jobs.FarCapacity(ctx, i.now)
	if jobs.IsDefect(err) {
		return nil // told of the key
	}
	if err != nil {
		return err
	}
	for _, lease := range leases {
		f := Finding{
			Kind: LeaseFarFuture, Key: format.CapacityLeasesKey(lease.Account), Member: lease.Lease,
			Reason: "a lease of capacity ends in the far future: nobody has it",
		}
		if err := i.found(f, func() (bool, error) { return true, i.jobs.EndCapacity(ctx, lease) }); err != nil {
			return err
		}
	}
	return nil
}
