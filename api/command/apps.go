package command

import (
	"context"

	"github.com/google/uuid"
)

// Apps syncs apps; see appsync.Syncer.
type Apps interface {
	Add(ctx context.Context, url string) (uuid.UUID, error)
	Move(ctx context.Context, app uuid.UUID, url string) error
	Archive(ctx context.Context, app uuid.UUID) error
	Discovered(url string) bool
}

// CreateApp makes the app at a URL register and returns its id. It fails with
// appsync.ErrURL, or with an appsync.AppError if the app does not.
func (c *Commands) CreateApp(ctx context.Context, url string) (uuid.UUID, error) {
	return c.Apps.Add(ctx, url)
}

// UpdateApp changes the URL of an app, which registers from there. It fails with
// appsync.ErrURL or appsync.ErrAppNotFound.
func (c *Commands) UpdateApp(ctx context.Context, app uuid.UUID, url string) error {
	return c.Apps.Move(ctx, app, url)
}

// DeleteApp archives an app. It fails with appsync.ErrAppNotFound.
func (c *Commands) DeleteApp(ctx context.Context, app uuid.UUID) error {
	return c.Apps.Archive(ctx, app)
}

// Discovered tells whether a URL was found by looking for apps.
func (c *Commands) Discovered(url string) bool { return c.Apps.Discovered(url) }
