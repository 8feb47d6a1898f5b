package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v3"

	"jetstep/compat/migrate"
	"jetstep/compat/migrate/redisdata"
	"jetstep/compat/redis/dial"
	"jetstep/function"
)

// openSide is a storage that was opened.
type openSide struct {
	migrate.Target
	close func() error
}

// openStorage opens a place that things are copied from or to.
func (p process) openStorage(ctx context.Context, cmd *cli.Command, s storage) (*openSide, error) {
	switch s {
	case inRedis:
		return openRedisSide(ctx, cmd.String("redis-uri"), "--redis-uri")
	case inOtherRedis:
		return openRedisSide(ctx, cmd.String("to-redis-uri"), "--to-redis-uri")
	}
	return p.openNATSSide(ctx, cmd)
}

func openRedisSide(ctx context.Context, uri, flag string) (*openSide, error) {
	if uri == "" {
		return nil, fmt.Errorf("%s says which Redis it is, and is missing", flag)
	}
	target, err := dial.Parse(uri)
	if err != nil {
		return nil, err
	}
	client, err := target.Open(ctx)
	if err != nil {
		return nil, err
	}
	return &openSide{Target: redisdata.Open(redisdata.Config{
		Redis: client, Name: target.String(), Account: function.AccountID, Environment: function.EnvironmentID,
	}), close: client.Close}, nil
}

// openPair opens both ends of a copy or comparison; close closes both.
func (p process) openPair(ctx context.Context, cmd *cli.Command, from, to storage) (a, b *openSide, closeBoth func() error, err error) {
	if a, err = p.openStorage(ctx, cmd, from); err != nil {
		return nil, nil, nil, err
	}
	if b, err = p.openStorage(ctx, cmd, to); err != nil {
		return nil, nil, nil, errors.Join(err, a.close())
	}
	return a, b, func() error { return errors.Join(a.close(), b.close()) }, nil
}

const (
	// busyFor is how long the lease of a server that has ended may seem to last.
	busyFor   = 12 * time.Second
	busyPause = 500 * time.Millisecond
)

// awaitIdle waits until no server works on a storage, or fails.
func (p process) awaitIdle(ctx context.Context, s migrate.Source, force bool) error {
	if force {
		return nil
	}
	told := false
	for deadline := time.Now().Add(busyFor); ; {
		why, err := s.Busy(ctx)
		if err != nil || why == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s; end all servers that use it, or say --force if none does", s.Name(), why)
		}
		if !told {
			fmt.Fprintf(p.stderr, "%s: %s; waiting for that to end\n", s.Name(), why)
			told = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(busyPause):
		}
	}
}
