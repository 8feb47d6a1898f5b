package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/executor"
	"jetstep/queue"
	"jetstep/queue/gate"
	"jetstep/queue/partition"
	"jetstep/state"
)

// path is where runs and their jobs are kept and what brings events to them: the
// partitions on NATS, or a Redis. All else in the server is the same for both.
type path interface {
	queue.Queue
	state.Store
	executor.Beginner
	command.Engine

	// Signal gives a signal to its waiter and returns whose run that is. It fails
	// with partition.ErrNoSignal.
	Signal(ctx context.Context, name string, data json.RawMessage) (ulid.ULID, error)
	AddMetadata(ctx context.Context, put *state.MetadataPut) error
	// Held and HeldJobs name the limits that a run and its jobs wait for; see
	// partition.Node.
	Held(ctx context.Context, run ulid.ULID) (limit string, ok bool)
	HeldJobs(ctx context.Context, run ulid.ULID) map[string]string

	// What is known in this process, for those who look on; see partition.Node.
	Executing(run ulid.ULID) (since time.Time, ok bool)
	Loading(run ulid.ULID) bool
	Waiting() []gate.Waiting
	Depths() map[uuid.UUID]queue.Depth
	QueueSize(fn uuid.UUID) int
	Stats() partition.Stats
	Unready() []int
	// Owns tells whether this process writes the partition's history.
	Owns(partition int) bool
	// Problems say in words why it cannot work yet, or not any more.
	Problems() []string

	// Start begins to take events and to hand out jobs.
	Start(ctx context.Context) error
	// StopLeasing hands out no more jobs; what was handed out is still concluded.
	StopLeasing()
	Close()
}

// openPath makes the path that the options ask for. It does not work before
// Start.
func (e *engine) openPath(ctx context.Context, opts config.Options, log *slog.Logger) (path, error) {
	if opts.Engine == config.EngineRedis {
		return openRedisPath(ctx, e, opts, log)
	}
	if opts.DrainRedis != "" {
		return openDrainPath(e, opts, log), nil
	}
	return e.openNative(nodeName(), nil, log), nil
}

// openNative makes the partitions' path; foreign is nil, or a queue whose runs end
// beside.
func (e *engine) openNative(name string, foreign partition.Foreign, log *slog.Logger) nativePath {
	return nativePath{partition.NewNode(partition.Config{
		Bus: e.bus, Name: name, History: e.recorder, Projected: e.project.Projected, Logger: log.With("caller", "queue"),
		Observer: e.metrics.Observer(), Foreign: foreign,
	})}
}

// nativePath is the partitions on NATS.
type nativePath struct{ *partition.Node }

// Start implements path.
func (n nativePath) Start(ctx context.Context) error {
	n.Node.Start(ctx)
	return nil
}

// Problems implements path.
func (n nativePath) Problems() []string {
	var reasons []string
	for _, p := range n.Unready() {
		if n.Elsewhere(p) {
			continue
		}
		reasons = append(reasons, fmt.Sprintf("partition %d is not loaded here", p))
	}
	return reasons
}
