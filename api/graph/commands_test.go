package graph_test

import (
	"context"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/graph"
)

// commands remembers what it was told.
type commands struct {
	app     uuid.UUID
	err     error
	rerun   graph.Rerun
	call    graph.Invocation
	url     string
	deleted []uuid.UUID
	cancel  func(ulid.ULID)
}

func (c *commands) CreateApp(_ context.Context, url string) (uuid.UUID, error) {
	c.url = url
	return c.app, c.err
}

func (c *commands) UpdateApp(_ context.Context, app uuid.UUID, url string) error {
	c.app, c.url = app, url
	return c.err
}

func (c *commands) DeleteApp(_ context.Context, app uuid.UUID) error {
	c.deleted = append(c.deleted, app)
	return c.err
}

func (c *commands) Invoke(_ context.Context, call graph.Invocation) error {
	c.call = call
	return c.err
}

func (c *commands) Cancel(_ context.Context, run ulid.ULID) error {
	if c.cancel != nil {
		c.cancel(run)
	}
	return c.err
}

func (c *commands) Rerun(_ context.Context, rerun graph.Rerun) (ulid.ULID, error) {
	c.rerun = rerun
	return ulid.MustParse("01M8AG737TEFVHWD5J2H43JKJE"), c.err
}

func (c *commands) Discovered(string) bool { return false }
