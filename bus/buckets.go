package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// registryConfig is how the registry is made. Its keys are never deleted, only
// overwritten, so that a value that comes back after a crash (jetstream-facts
// §5) cannot be a deleted one.
func (c Config) registryConfig() jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket: registryBucket, Description: "apps and their functions", History: 1,
		Storage: jetstream.FileStorage, Replicas: c.Replicas, MaxValueSize: -1,
	}
}

// clusterConfig is how the leases are kept: the log fences, so that losing
// them is harmless.
func (c Config) clusterConfig() jetstream.KeyValueConfig {
	ttl := LeaseTTL
	if len(c.URLs) == 0 {
		ttl = embeddedLeaseTTL
	}
	return jetstream.KeyValueConfig{
		Bucket: clusterBucket, Description: "partition leases", History: 1, TTL: ttl,
		Storage: jetstream.MemoryStorage, Replicas: c.Replicas,
	}
}

// declareBuckets wants an installation's registry to exist, and makes the
// bucket of leases if need be.
func (b *Bus) declareBuckets(ctx context.Context) error {
	_, err := b.bucket(ctx, registryBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("%w: %s: it was removed, or its files cannot be read", ErrStreamMissing, registryBucket)
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", registryBucket, err)
	}
	return b.makeBucket(ctx, b.cfg.clusterConfig())
}

// makeBucket creates a bucket unless there is one.
func (b *Bus) makeBucket(ctx context.Context, cfg jetstream.KeyValueConfig) error {
	_, err := b.bucket(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = query(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
			return b.control.js.CreateKeyValue(ctx, cfg)
		})
	}
	if errors.Is(err, jetstream.ErrBucketExists) {
		return nil // someone else made it meanwhile
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
	}
	return nil
}

// bucket finds a bucket.
func (b *Bus) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	return query(ctx, func(ctx context.Context) (jetstream.KeyValue, error) {
		return b.control.js.KeyValue(ctx, name)
	})
}
