package appsync

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"jetstep/function"
)

// maxEndpoints is how many durable endpoints of one domain are registered: a
// path with an id in it makes an endpoint of its own for each id. Runs of
// others work all the same, but are shown without a function.
const maxEndpoints = 1000

// RegisterEndpoint makes a durable endpoint and its app known, which no SDK
// registers (sdk-protocol §19.1). sdk is as SDKs name themselves in headers,
// and may be empty. It does nothing when the endpoint is known with these
// retries.
func (s *Syncer) RegisterEndpoint(ctx context.Context, request *function.EndpointRequest, retries int, sdk string) error {
	fn := request.Function(retries)
	if known, ok := s.cfg.Registry.Catalog().Function(fn.ID); ok && sameEndpoint(known.Function, &fn) {
		return nil
	}
	var full bool
	_, err := s.cfg.Registry.Update(ctx, request.AppID(), func(old *function.App) (*function.App, error) {
		var changed *function.App
		changed, full = withEndpoint(old, request.AppID(), request.Domain, fn, sdk, time.Now())
		return changed, nil
	})
	if err == nil && full {
		s.log.Debug("durable endpoint is not registered: the app has too many", "function_id", fn.Slug, "app", request.Domain)
	}
	return err
}

func sameEndpoint(known, fn *function.Function) bool {
	return known.Retries() == fn.Retries() && known.Driver != nil && known.Driver.Metadata["method"] == fn.Driver.Metadata["method"]
}

// withEndpoint is an app with an endpoint added or changed, nil if it stays as
// it is; full tells that it has no place for one.
func withEndpoint(old *function.App, id uuid.UUID, domain string, fn function.Function, sdk string, now time.Time) (changed *function.App, full bool) {
	app := function.App{ID: id, Name: domain, URL: domain, Method: function.MethodAPI, CreatedAt: now}
	if old != nil {
		app = *old
		app.Functions = append([]function.Function(nil), old.Functions...)
	}
	language, version, _ := strings.Cut(sdk, ":v")
	if language = strings.TrimPrefix(language, "inngest-"); language != "" {
		app.SDKLanguage, app.SDKVersion = language, version
	}
	app.SyncedAt, app.ArchivedAt, app.Error = now, time.Time{}, ""
	for i := range app.Functions {
		if app.Functions[i].ID != fn.ID {
			continue
		}
		if isActive(old) && sameEndpoint(&app.Functions[i], &fn) {
			return nil, false // another process was faster
		}
		fn.Version = app.Functions[i].Version + 1
		app.Functions[i] = fn
		return &app, false
	}
	if len(app.Functions) >= maxEndpoints {
		return nil, true
	}
	app.Functions = append(app.Functions, fn)
	return &app, false
}
