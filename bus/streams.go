package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// ErrStreamMissing is wrapped by Open's error when an installation lacks a
// stream: it was removed, or its files cannot be read. Jetstep does not put an
// empty one in its place.
var ErrStreamMissing = errors.New("stream is missing")

// How long a partition lease lives without renewal. The bucket of an embedded
// server ends with the process, so that nobody waits for the end of a lease
// there: its life may be long enough for a stalled machine or a slow disk.
const (
	LeaseTTL         = 3 * time.Second
	embeddedLeaseTTL = 30 * time.Second
)

func logStream(partition int) string { return "LOG_" + strconv.Itoa(partition) }
func inStream(partition int) string  { return "IN_" + strconv.Itoa(partition) }

// eventsConfig is how EVENTS is made; its metadata mark an installation.
func (c Config) eventsConfig() jetstream.StreamConfig {
	return c.stream(jetstream.StreamConfig{
		Name:        eventsStream,
		Description: "every accepted event",
		Subjects:    []string{eventPrefix + ">"},
		MaxAge:      c.EventMaxAge,
		MaxBytes:    unlimited(c.EventMaxBytes),
		Metadata:    map[string]string{metaPartitions: strconv.Itoa(c.Partitions), metaSchema: schemaVersion},
	})
}

func (c Config) logConfig(p int) jetstream.StreamConfig {
	return c.stream(jetstream.StreamConfig{
		Name:        logStream(p),
		Description: "records of partition " + strconv.Itoa(p) + ", in order, by one owner",
		Subjects:    []string{logPrefix + strconv.Itoa(p) + ".>"},
		Discard:     jetstream.DiscardNew,
	})
}

func (c Config) inConfig(p int) jetstream.StreamConfig {
	return c.stream(jetstream.StreamConfig{
		Name:        inStream(p),
		Description: "commands to partition " + strconv.Itoa(p),
		Subjects:    []string{inPrefix + strconv.Itoa(p) + ".>"},
		Discard:     jetstream.DiscardNew, // what is there counts as delivered
		Duplicates:  2 * time.Minute,
	})
}

// stream adds what all streams have in common.
func (c Config) stream(s jetstream.StreamConfig) jetstream.StreamConfig {
	s.Storage = jetstream.FileStorage
	s.Retention = jetstream.LimitsPolicy
	s.MaxMsgsPerSubject = -1
	s.AllowDirect = true
	s.Replicas = c.Replicas
	if len(c.PlacementTags) > 0 {
		s.Placement = &jetstream.Placement{Tags: c.PlacementTags}
	}
	return s
}

// declareStreams finds the installation's streams and brings what Jetstep owns
// of them up to date, or makes a new installation. An operator's own settings
// (replicas, placement, limits of size and age, compression) stay. EVENTS is
// made or marked last: where it is, all others must be.
func (b *Bus) declareStreams(ctx context.Context) error {
	info, err := b.declareEvents(ctx, b.cfg.eventsConfig())
	if err != nil {
		return err
	}
	if b.partitions, err = installation(info.Config); err != nil {
		return err
	}
	if b.cfg.Replicas > info.Config.Replicas {
		b.log.Warn("the streams have fewer replicas than configured: change them with the tools of NATS",
			"replicas", info.Config.Replicas, "configured", b.cfg.Replicas)
	}
	b.SawEvent(info.State.LastSeq)
	b.created = info.Created
	for p := range b.partitions {
		for _, want := range []jetstream.StreamConfig{b.cfg.logConfig(p), b.cfg.inConfig(p)} {
			if err := b.checkStream(ctx, want); err != nil {
				return err
			}
		}
	}
	for _, want := range []jetstream.StreamConfig{b.cfg.tracesConfig(), b.cfg.toldConfig()} {
		if err := b.declareStream(ctx, want); err != nil {
			return err
		}
	}
	return b.declareBuckets(ctx)
}

// declareEvents finds EVENTS, or makes it after everything that it stands for.
func (b *Bus) declareEvents(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	info, err := b.findStream(ctx, want.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		if err := b.makePartitions(ctx); err != nil {
			return nil, err
		}
		if info, err = b.makeStream(ctx, want); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case info.Config.Metadata[metaPartitions] != "":
		// Also a later version's, which is not to be touched.
		if _, err := installation(info.Config); err != nil {
			return nil, err
		}
	default:
		if err := usable(info.Config, want); err != nil {
			return nil, err
		}
		if err := b.makePartitions(ctx); err != nil {
			return nil, err
		}
	}
	return b.bringUpToDate(ctx, info, want)
}

// installation reads the number of partitions from the metadata of EVENTS.
func installation(events jetstream.StreamConfig) (partitions int, err error) {
	partitions, err = strconv.Atoi(events.Metadata[metaPartitions])
	if err != nil || partitions < 1 || partitions > MaxPartitions {
		return 0, fmt.Errorf("%w: stream %s: its metadata name no valid number of partitions", ErrUnsuitable, eventsStream)
	}
	if got := events.Metadata[metaSchema]; got != schemaVersion {
		return 0, fmt.Errorf("%w: stream %s has schema %q, this version of jetstep knows %q", ErrUnsuitable, eventsStream, got, schemaVersion)
	}
	return partitions, nil
}

// makePartitions makes the partitions' streams and the registry of a new
// installation. Others may do the same at once; whoever then makes EVENTS
// decides how many partitions count.
func (b *Bus) makePartitions(ctx context.Context) error {
	for p := range b.cfg.Partitions {
		log, err := b.makeStream(ctx, b.cfg.logConfig(p))
		if err != nil {
			return err
		}
		if log.State.LastSeq > 0 {
			// Someone made EVENTS since we looked, or it has been lost.
			if _, err := b.findStream(ctx, eventsStream); errors.Is(err, jetstream.ErrStreamNotFound) {
				return fmt.Errorf("%w: %s, but %s holds records", ErrStreamMissing, eventsStream, log.Config.Name)
			}
			return nil
		}
		if _, err := b.makeStream(ctx, b.cfg.inConfig(p)); err != nil {
			return err
		}
	}
	return b.makeBucket(ctx, b.cfg.registryConfig())
}

func (b *Bus) findStream(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	stream, err := query(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		return b.control.js.Stream(ctx, name)
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream.CachedInfo(), nil
}

// makeStream creates a stream, or finds the one that someone made meanwhile.
func (b *Bus) makeStream(ctx context.Context, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	stream, err := query(ctx, func(ctx context.Context) (jetstream.Stream, error) {
		return b.control.js.CreateStream(ctx, want)
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return b.findStream(ctx, want.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", want.Name, err)
	}
	return stream.CachedInfo(), nil
}

// checkStream wants a stream of the installation to exist, up to date.
func (b *Bus) checkStream(ctx context.Context, want jetstream.StreamConfig) error {
	info, err := b.findStream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: %s: it was removed, or its files cannot be read", ErrStreamMissing, want.Name)
	}
	if err == nil {
		_, err = b.bringUpToDate(ctx, info, want)
	}
	return err
}

// declareStream makes a stream that an installation may lack, or brings it up to date.
func (b *Bus) declareStream(ctx context.Context, want jetstream.StreamConfig) error {
	info, err := b.findStream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		info, err = b.makeStream(ctx, want)
	}
	if err == nil {
		_, err = b.bringUpToDate(ctx, info, want)
	}
	return err
}

// bringUpToDate sets the fields of a stream that Jetstep owns.
func (b *Bus) bringUpToDate(ctx context.Context, info *jetstream.StreamInfo, want jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	if err := usable(info.Config, want); err != nil {
		return nil, err
	}
	upgraded, changed := upgrade(info.Config, want)
	if !changed {
		return info, nil
	}
	stream, err := b.control.js.UpdateStream(ctx, upgraded)
	if err != nil {
		return nil, fmt.Errorf("stream %s: upgrade: %w", want.Name, err)
	}
	return stream.CachedInfo(), nil
}

// usable refuses a stream that is not Jetstep's, or that was made in a way
// which cannot be changed and breaks a guarantee.
func usable(have, want jetstream.StreamConfig) error {
	for _, subject := range have.Subjects {
		if !strings.HasPrefix(subject, subjectRoot) {
			return fmt.Errorf("%w: stream %s is not jetstep's: it takes %s", ErrUnsuitable, have.Name, subject)
		}
	}
	var why string
	switch {
	case have.Mirror != nil || len(have.Sources) > 0:
		why = "it copies another stream"
	case have.Retention != want.Retention:
		why = "its retention is " + have.Retention.String() + ", not limits"
	case have.Storage != want.Storage:
		why = "it is kept in memory"
	case have.NoAck:
		why = "it acknowledges nothing"
	case have.Sealed:
		why = "it is sealed"
	default:
		return nil
	}
	return fmt.Errorf("%w: stream %s: %s", ErrUnsuitable, have.Name, why)
}

// upgrade takes from want the fields that Jetstep owns.
func upgrade(have, want jetstream.StreamConfig) (jetstream.StreamConfig, bool) {
	out := have
	out.Subjects = want.Subjects
	out.Description = want.Description
	out.AllowDirect = true
	out.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	changed := !slices.Equal(have.Subjects, out.Subjects) || have.Description != out.Description ||
		!have.AllowDirect || have.MaxMsgsPerSubject > 0
	if want.Discard == jetstream.DiscardNew {
		// A log, and what owners have yet to carry out, loses nothing but what the
		// owner purges.
		changed = changed || have.Discard != want.Discard || have.MaxAge != 0
		out.Discard, out.MaxAge = want.Discard, 0
	}
	for k, v := range want.Metadata {
		if _, ok := have.Metadata[k]; !ok {
			out.Metadata = withKey(out.Metadata, k, v)
			changed = true
		}
	}
	return out, changed
}

func withKey(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}
