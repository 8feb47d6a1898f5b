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

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

// What mutations are refused for; clients know the texts (graphql §16).
var (
	ErrEnded = errors.New("cannot cancel an ended run")
	ErrInput = errors.New("input is not a valid JSON array")
)

func (m mutations) CreateApp(ctx context.Context, input generated.CreateAppInput) (*generated.App, error) {
	id, err := m.commands.CreateApp(ctx, input.URL)
	if err != nil {
		return nil, err
	}
	return m.changedApp(ctx, id)
}

func (m mutations) UpdateApp(ctx context.Context, input generated.UpdateAppInput) (*generated.App, error) {
	id, err := uuid.Parse(input.ID)
	if err != nil {
		return nil, err
	}
	if err := m.commands.UpdateApp(ctx, id, input.URL); err != nil {
		return nil, err
	}
	return m.changedApp(ctx, id)
}

// changedApp reads an app anew: what is kept for the request is from before.
func (m mutations) changedApp(ctx context.Context, id uuid.UUID) (*generated.App, error) {
	c, err := readCatalog(ctx, m.reader)
	if err != nil {
		return nil, err
	}
	row, err := c.app(id)
	if err != nil {
		return nil, err
	}
	return m.app(row), nil
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
	call := Invocation{Slug: functionSlug, Debug: Debug{Session: debugSessionID, Run: debugRunID}}
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

// How long a cancelled run is waited for, and how often it is looked at.
const (
	cancelTimeout  = 5500 * time.Millisecond
	cancelInterval = 100 * time.Millisecond
)

func (m mutations) CancelRun(ctx context.Context, runID ulid.ULID) (*generated.FunctionRun, error) {
	run, err := m.reader.Run(ctx, runID)
	switch {
	case err != nil:
		return nil, err
	case run.Status == view.Cancelled:
		return toLegacyRun(run), nil
	case run.Status.Ended():
		return nil, ErrEnded
	}
	if err := m.commands.Cancel(ctx, runID); err != nil {
		return nil, err
	}
	return m.awaitCancelled(ctx, runID)
}

// awaitCancelled answers the run as it is, in the end: the read model may lag.
func (m mutations) awaitCancelled(ctx context.Context, id ulid.ULID) (*generated.FunctionRun, error) {
	waiting, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	ticker := time.NewTicker(cancelInterval)
	defer ticker.Stop()
	for {
		run, err := m.reader.Run(ctx, id)
		if err != nil {
			return nil, err
		}
		if run.Status.Ended() {
			return toLegacyRun(run), nil
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
			return toLegacyRun(run), nil
		}
	}
}

func (m mutations) Rerun(ctx context.Context, runID ulid.ULID, fromStep *generated.RerunFromStepInput, debugSessionID *ulid.ULID, debugRunID *ulid.ULID) (ulid.ULID, error) {
	rerun := Rerun{Run: runID, Debug: Debug{Session: debugSessionID, Run: debugRunID}}
	if fromStep != nil {
		rerun.Step = fromStep.StepID
		if fromStep.Input != nil {
			input := strings.TrimSpace(*fromStep.Input)
			if !strings.HasPrefix(input, "[") || !json.Valid([]byte(input)) {
				return ulid.ULID{}, ErrInput
			}
			rerun.Input = json.RawMessage(input)
		}
	}
	return m.commands.Rerun(ctx, rerun)
}

func (m mutations) CreateDebugSession(context.Context, generated.CreateDebugSessionInput) (*generated.CreateDebugSessionResponse, error) {
	return &generated.CreateDebugSessionResponse{DebugSessionID: ulid.Make(), DebugRunID: ulid.Make()}, nil
}
