package graph_test

import (
	"context"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
)

// commands remembers what it was told.
type commands struct {
	app     uuid.UUID
	err     error
	rerun   command.Rerun
	call    command.Invocation
	url     string
	deleted []uuid.UUID
	cancel  func(ulid.ULID)
	changed func(app uuid.UUID, url string) // what the history shows of a change, later
}

func (c *commands) CreateApp(_ context.Context, url string) (uuid.UUID, error) {
	c.url = url
	if c.changed != nil {
		c.changed(c.app, url)
	}
	return c.app, c.err
}

func (c *commands) UpdateApp(_ context.Context, app uuid.UUID, url string) error {
	c.app, c.url = app, url
	if c.changed != nil {
		c.changed(app, url)
	}
	return c.err
}

func (c *commands) DeleteApp(_ context.Context, app uuid.UUID) error {
	c.deleted = append(c.deleted, app)
	return c.err
}

func (c *commands) Invoke(_ context.Context, call command.Invocation) error {
	c.call = call
	return c.err
}

func (c *commands) Cancel(_ context.Context, run ulid.ULID) error {
	if c.cancel != nil {
		c.cancel(run)
	}
	return c.err
}

func (c *commands) Rerun(_ context.Context, rerun command.Rerun) (ulid.ULID, error) {
	c.rerun = rerun
	return ulid.MustParse("01M8AG737TEFVHWD5J2H43JKJE"), c.err
}

func (c *commands) Discovered(string) bool { return false }
