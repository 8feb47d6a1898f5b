package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/api/runstream"
	"jetstep/history"
	"jetstep/history/trace"
)

// Spans reads the rows of runs' traces; see reader.Reader.
type Spans interface {
	Spans(ctx context.Context, run ulid.ULID) ([]trace.Row, error)
}

// watched is the source of streams: what GET /v1/runs/{run} shows, and the
// trace.
type watched struct{ server *Server }

func (w watched) Spans(ctx context.Context, id ulid.ULID) ([]trace.Row, error) {
	return w.server.cfg.Spans.Spans(ctx, id)
}

func (w watched) Run(ctx context.Context, id ulid.ULID) (shown json.RawMessage, ended bool, err error) {
	run, err := w.server.cfg.History.Run(ctx, id)
	if err != nil {
		return nil, false, err
	}
	shown, err = json.Marshal(w.server.showRun(ctx, &run))
	return shown, run.Status.Ended(), err
}

// streamRun is GET /v1/runs/{run}/stream, an addition: the run as it is and what
// changes, as server-sent events or, after an upgrade, over a WebSocket.
func (s *Server) streamRun(c echo.Context) error {
	id, err := runID(c)
	if err != nil {
		return err
	}
	switch err := s.streams.Serve(c.Response(), c.Request(), id); {
	case errors.Is(err, history.ErrRunNotFound):
		return s.unknownRun(id)
	case errors.Is(err, runstream.ErrBusy):
		return problemf(http.StatusServiceUnavailable, "Too many runs are being watched")
	default:
		return err
	}
}

// unknownRun is why a run is not found.
func (s *Server) unknownRun(id ulid.ULID) *problem {
	if s.cfg.Runs.Loading(id) {
		return problemf(http.StatusServiceUnavailable, "The state of run %s is being loaded", id)
	}
	return noSuchRun(id)
}
