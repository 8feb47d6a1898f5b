package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/api/command"
	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// What mutations are refused for; clients know the texts (graphql §16).
var (
	errEnded         = errors.New("cannot cancel an ended run")
	errInput         = errors.New("input is not a valid JSON array")
	errNoSuchStep    = errors.New("error reconstructing input state: rerun step not found")
	errAmbiguousStep = errors.New("error reconstructing input state: rerun step name is ambiguous")
)

func (m mutations) CreateApp(ctx context.Context, input generated.CreateAppInput) (*generated.App, error) {
	id, err := m.commands.CreateApp(ctx, input.URL)
	if err != nil {
		return nil, err
	}
	return m.changedApp(ctx, id, func(app view.App) bool { return !app.Archived && app.Error == nil })
}

func (m mutations) UpdateApp(ctx context.Context, input generated.UpdateAppInput) (*generated.App, error) {
	id, err := uuid.Parse(input.ID)
	if err != nil {
		return nil, err
	}
	before, err := operationOf(ctx).catalog()
	if err != nil {
		return nil, err
	}
	if err := m.commands.UpdateApp(ctx, id, input.URL); err != nil {
		return nil, err
	}
	return m.changedApp(ctx, id, func(app view.App) bool { return app.URL != before.apps[id].URL })
}

// How long the history is waited for after a change, and how often it is looked
// at: it is written a moment later.
const (
	cancelTimeout = 5500 * time.Millisecond // as in the original
	changeTimeout = time.Second
	lookInterval  = 50 * time.Millisecond
)

// changedApp is an app once the history shows its change. That may be none, as
// when an app is moved to where it was: then it is answered as it is.
func (m mutations) changedApp(ctx context.Context, id uuid.UUID, changed func(view.App) bool) (*generated.App, error) {
	row, err := await(ctx, changeTimeout, func() (view.App, bool, error) {
		c, err := readCatalog(ctx, m.reader)
		if err != nil {
			return view.App{}, true, err
		}
		row, err := c.app(id)
		return row, err == nil && changed(row), err
	})
	if err != nil {
		return nil, err
	}
	return m.app(row), nil
}

// await looks until something is as wanted, and in the end takes it as it is.
// An error counts only then, unless it comes with wanted: a record that is not
// there yet is waited for.
func await[T any](ctx context.Context, timeout time.Duration, look func() (found T, wanted bool, err error)) (T, error) {
	waiting, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		found, wanted, err := look()
		if wanted {
			return found, err
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
			return found, err
		}
	}
}

func (m mutations) DeleteApp(ctx context.Context, id string) (string, error) {
	app, err := uuid.Parse(id)
	if err != nil {
		return "", err
	}
	return id, m.commands.DeleteApp(ctx, app)
}

func (m mutations) DeleteAppByName(ctx context.Context, name string) (bool, error) {
	c, err := operationOf(ctx).catalog()
	if err != nil {
		return false, err
	}
	for _, app := range c.liveApps {
		if app.Name == name {
			return true, m.commands.DeleteApp(ctx, app.ID)
		}
	}
	return false, nil
}

func (m mutations) InvokeFunction(ctx context.Context, data map[string]any, functionSlug string, meta map[string]any, user map[string]any, debugSessionID *ulid.ULID, debugRunID *ulid.ULID) (*bool, error) {
	call := command.Invocation{Slug: functionSlug, Debug: command.Debug{Session: debugSessionID, Run: debugRunID}}
	for key := range meta {
		if key != "sessions" {
			return nil, fmt.Errorf("event meta %q is not supported", key)
		}
	}
	var err error
	if call.Data, err = object(data); err != nil {
		return nil, err
	}
	if call.User, err = object(user); err != nil {
		return nil, err
	}
	if sessions, ok := meta["sessions"]; ok {
		if call.Sessions, err = json.Marshal(sessions); err != nil {
			return nil, err
		}
	}
	if err := m.commands.Invoke(ctx, call); err != nil {
		return nil, err
	}
	return ptr(true), nil
}

// object is nil for no object.
func object(values map[string]any) (json.RawMessage, error) {
	if values == nil {
		return nil, nil
	}
	return json.Marshal(values)
}

func (m mutations) CancelRun(ctx context.Context, runID ulid.ULID) (*generated.FunctionRun, error) {
	run, err := m.reader.Run(ctx, runID)
	switch {
	case err != nil && !errors.Is(err, view.ErrNotFound):
		return nil, err
	case run.Status == view.Cancelled:
		return toLegacyRun(run), nil
	case run.Status.Ended():
		return nil, errEnded
	}
	// The history may not know the run yet, or that it has ended.
	err = m.commands.Cancel(ctx, runID)
	if err != nil && !errors.Is(err, command.ErrEnded) {
		return nil, err
	}
	run, err = await(ctx, cancelTimeout, func() (view.Run, bool, error) {
		run, err := m.reader.Run(ctx, runID)
		return run, run.Status.Ended() || err != nil && !errors.Is(err, view.ErrNotFound), err
	})
	switch {
	case err != nil:
		return nil, err
	case run.Status.Ended() && run.Status != view.Cancelled:
		return nil, errEnded
	}
	return toLegacyRun(run), nil
}

func (m mutations) Rerun(ctx context.Context, runID ulid.ULID, fromStep *generated.RerunFromStepInput, debugSessionID *ulid.ULID, debugRunID *ulid.ULID) (ulid.ULID, error) {
	rerun := command.Rerun{Run: runID, Debug: command.Debug{Session: debugSessionID, Run: debugRunID}}
	if fromStep != nil {
		rerun.Step = fromStep.StepID
		if fromStep.Input != nil {
			input := strings.TrimSpace(*fromStep.Input)
			if !strings.HasPrefix(input, "[") || !json.Valid([]byte(input)) {
				return ulid.ULID{}, errInput
			}
			rerun.Input = json.RawMessage(input)
		}
	}
	id, err := m.commands.Rerun(ctx, rerun)
	switch {
	case errors.Is(err, command.ErrNoSuchStep):
		err = errNoSuchStep
	case errors.Is(err, command.ErrAmbiguousStep):
		err = errAmbiguousStep
	case errors.Is(err, view.ErrNotFound):
		err = view.ErrNotFound
	}
	return id, err
}

func (m mutations) CreateDebugSession(context.Context, generated.CreateDebugSessionInput) (*generated.CreateDebugSessionResponse, error) {
	return &generated.CreateDebugSessionResponse{DebugSessionID: ulid.Make(), DebugRunID: ulid.Make()}, nil
}
