package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/bus"
	"jetstep/cmd/jetstep/internal/config"
	"jetstep/compat/migrate/logdata"
	"jetstep/queue/partition"
)

const (
	// openFor is how long partitions may take to be loaded; those of a server that
	// has died are free after a few seconds.
	openFor = time.Minute
	// settleFor bounds how long partitions may take to do what was accepted.
	settleFor   = time.Minute
	settlePause = 20 * time.Millisecond
)

var errServed = errors.New("partitions are not free: end all servers that use this NATS")

// openNATSSide opens what is kept in NATS. Its partitions belong to this process
// until it is closed.
func (p process) openNATSSide(ctx context.Context, cmd *cli.Command) (_ *openSide, err error) {
	opts, err := p.historyOptions(cmd)
	if err != nil {
		return nil, err
	}
	s := &natsSide{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dirs, err = claimDirs(&opts); err != nil {
		return nil, fmt.Errorf("%w: %w", errHistoryInUse, err)
	}
	if err := s.open(ctx, opts, quietLog(p.stderr)); err != nil {
		return nil, err
	}
	catalog := func() logdata.Catalog { return s.bus.Registry().Catalog() }
	return &openSide{Target: logdata.Open("NATS ("+s.bus.Location()+")", s.node, catalog), close: s.close}, nil
}

// natsSide is what has to be closed.
type natsSide struct {
	dirs *dirs
	bus  *bus.Bus
	node *partition.Node
}

func (s *natsSide) close() error {
	if s.node != nil {
		s.node.Close()
	}
	if s.bus != nil {
		s.bus.Close()
	}
	return releaseDirs(s.dirs)
}

// open takes the partitions, and leaves them at rest. What a server accepted and had
// no time for is done first: events start runs and end waits. No app is called.
func (s *natsSide) open(ctx context.Context, opts config.Options, log *slog.Logger) (err error) {
	if s.bus, err = bus.Open(ctx, busConfig(opts, log)); err != nil {
		return err
	}
	if err := s.takePartitions(ctx, log, true); err != nil {
		return err
	}
	why, err := s.node.Unsettled(ctx)
	if err != nil || why == "" {
		return err
	}
	s.node.Close()
	if err := s.takePartitions(ctx, log, false); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.node.Close()
	return s.takePartitions(ctx, log, true)
}

func (s *natsSide) takePartitions(ctx context.Context, log *slog.Logger, atRest bool) error {
	s.node = partition.NewNode(partition.Config{Bus: s.bus, Name: "migrate", Logger: log, AtRest: atRest})
	s.node.Start(ctx)
	select {
	case <-s.node.Opened():
		return nil
	case <-time.After(openFor):
		return errServed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle waits until nothing is under way. If that takes too long, the side tells
// that it is busy.
func (s *natsSide) settle(ctx context.Context) error {
	for deadline := time.Now().Add(settleFor); time.Now().Before(deadline); {
		why, err := s.node.Unsettled(ctx)
		if err != nil || why == "" {
			return err
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
