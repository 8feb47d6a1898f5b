package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The streams and buckets (DESIGN §2).
const (
	eventsStream   = "EVENTS"
	registryBucket = "JETSTEP_REGISTRY"
	clusterBucket  = "JETSTEP_CLUSTER"

	// metaPartitions and metaSchema are kept in the metadata of EVENTS.
	metaPartitions = "jetstep.partitions"
	metaSchema     = "jetstep.schema"
	schemaVersion  = "1"
)

// LeaseTTL is how long a partition lease lives without renewal.
const LeaseTTL = 3 * time.Second

func logStream(partition int) string { return "LOG_" + strconv.Itoa(partition) }
func inStream(partition int) string  { return "IN_" + strconv.Itoa(partition) }

// declareStreams creates what is missing and upgrades what we own of what is
// there; an operator's own settings (replicas, placement, limits) stay.
func (b *Bus) declareStreams(ctx context.Context) error {
	events := jetstream.StreamConfig{
		Name:        eventsStream,
		Description: "every accepted event",
		Subjects:    []string{eventPrefix + ">"},
		MaxAge:      b.cfg.EventMaxAge,
		MaxBytes:    unlimited(b.cfg.EventMaxBytes),
		AllowDirect: true,
		Metadata:    map[string]string{metaPartitions: strconv.Itoa(b.cfg.Partitions), metaSchema: schemaVersion},
	}
	info, err := b.declare(ctx, events)
	if err != nil {
		return err
	}
	if b.partitions, err = strconv.Atoi(info.Config.Metadata[metaPartitions]); err != nil || b.partitions < 1 || b.partitions > MaxPartitions {
		return fmt.Errorf("stream %s is not Jetstep's: its metadata names no valid number of partitions", eventsStream)
	}
	if got := info.Config.Metadata[metaSchema]; got != schemaVersion {
		return fmt.Errorf("stream %s has schema %q, this version of jetstep knows %q", eventsStream, got, schemaVersion)
	}
	b.sawEvent(info.State.LastSeq)
	for p := range b.partitions {
		if err := b.declarePartition(ctx, p); err != nil {
			return err
		}
	}
	return b.declareBuckets(ctx)
}

func (b *Bus) declarePartition(ctx context.Context, p int) error {
	_, err := b.declare(ctx, jetstream.StreamConfig{
		Name:        logStream(p),
		Description: "records of partition " + strconv.Itoa(p) + ", in order, by one owner",
		Subjects:    []string{logPrefix + strconv.Itoa(p) + ".>"},
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
	})
	if err != nil {
		return err
	}
	_, err = b.declare(ctx, jetstream.StreamConfig{
		Name:        inStream(p),
		Description: "commands to partition " + strconv.Itoa(p),
		Subjects:    []string{inPrefix + strconv.Itoa(p) + ".>"},
		MaxAge:      7 * 24 * time.Hour,
		AllowDirect: true,
		Duplicates:  2 * time.Minute,
	})
	return err
}

// declare makes one stream, or brings the fields we own up to date.
func (b *Bus) declare(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	want.Storage = jetstream.FileStorage
	want.Retention = jetstream.LimitsPolicy
	want.MaxMsgsPerSubject = -1
	want.Replicas = b.cfg.Replicas
	if len(b.cfg.PlacementTags) > 0 {
		want.Placement = &jetstream.Placement{Tags: b.cfg.PlacementTags}
	}
	js := b.control.js
	stream, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = js.CreateStream(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", want.Name, err)
	}
	info := stream.CachedInfo()
	upgraded, changed := upgrade(info.Config, want)
	if !changed {
		return info, nil
	}
	if stream, err = js.UpdateStream(ctx, upgraded); err != nil {
		return nil, fmt.Errorf("stream %s: upgrade: %w", want.Name, err)
	}
	return stream.CachedInfo(), nil
}

// upgrade takes from want the fields that Jetstep owns.
func upgrade(have, want jetstream.StreamConfig) (jetstream.StreamConfig, bool) {
	out := have
	changed := false
	if !slices.Equal(have.Subjects, want.Subjects) {
		out.Subjects, changed = want.Subjects, true
	}
	if want.AllowDirect && !have.AllowDirect {
		out.AllowDirect, changed = true, true
	}
	if have.Description != want.Description {
		out.Description, changed = want.Description, true
	}
	for k, v := range want.Metadata {
		if _, ok := have.Metadata[k]; !ok {
			if out.Metadata == nil {
				out.Metadata = map[string]string{}
			}
			out.Metadata[k], changed = v, true
		}
	}
	return out, changed
}

func (b *Bus) declareBuckets(ctx context.Context) error {
	// Registry keys are never deleted, only overwritten, so that a value that
	// comes back after a crash (jetstream-facts §5) cannot be a deleted one.
	if err := b.declareBucket(ctx, jetstream.KeyValueConfig{
		Bucket: registryBucket, Description: "apps and their functions", History: 1,
		Storage: jetstream.FileStorage, Replicas: b.cfg.Replicas, MaxValueSize: -1,
	}); err != nil {
		return err
	}
	// Leases carry an epoch and the log fences: losing them is harmless.
	return b.declareBucket(ctx, jetstream.KeyValueConfig{
		Bucket: clusterBucket, Description: "partition leases", History: 1, TTL: LeaseTTL,
		Storage: jetstream.MemoryStorage, Replicas: b.cfg.Replicas,
	})
}

func (b *Bus) declareBucket(ctx context.Context, cfg jetstream.KeyValueConfig) error {
	_, err := b.control.js.KeyValue(ctx, cfg.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = b.control.js.CreateKeyValue(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("bucket %s: %w", cfg.Bucket, err)
	}
	return nil
}

func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}
