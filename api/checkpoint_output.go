package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/history"
)

// How long a request for a result waits, and how often it looks: soon at
// first, since most runs end soon (sdk-protocol §19.5).
const (
	outputWait      = 5 * time.Minute
	outputPause     = 20 * time.Millisecond
	outputPauseMost = time.Second
)

// endpointOutput is GET /v1/checkpoint/{run}/output?token=: it waits for the
// end of the run that the token is for, and answers what the endpoint would
// have. Whoever has the token may ask.
func (s *Server) endpointOutput(c echo.Context) error {
	run, err := s.tokens.verify(c.QueryParam("token"))
	if err != nil {
		return problemf(http.StatusUnauthorized, "Unable to find run with auth token")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.outputWait)
	defer cancel()
	result, err := s.awaitResult(ctx, run)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		s.sendJSON(c, http.StatusOK, []byte(`{"status":"running","message":"run did not end within 5 minutes"}`))
		return nil
	case err != nil:
		return err
	case result.Status == 0:
		s.sendJSON(c, http.StatusOK, result.Output)
		return nil
	}
	header := c.Response().Header()
	for name, value := range result.Headers {
		if !ofConnection[http.CanonicalHeaderKey(name)] {
			header.Set(name, value)
		}
	}
	// What an app answers must not act on pages of this server.
	header.Set("Content-Security-Policy", "sandbox")
	header.Set("X-Content-Type-Options", "nosniff")
	c.Response().WriteHeader(result.Status)
	_, err = c.Response().Write(result.Body)
	return err
}

// ofConnection are headers which say something of the connection or the form
// in which the app had sent its answer: of this one they are not true.
var ofConnection = map[string]bool{
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Keep-Alive": true, "Transfer-Encoding": true, "Upgrade": true,
}

// awaitResult waits until a run has ended and its end is known.
func (s *Server) awaitResult(ctx context.Context, run ulid.ULID) (EndpointResult, error) {
	for pause := outputPause; ; pause = min(2*pause, outputPauseMost) {
		result, err := s.cfg.Endpoints.Result(ctx, run)
		switch {
		case err == nil:
			return result, nil
		case errors.Is(err, ErrRunLive), errors.Is(err, ErrRunNotFound), errors.Is(err, history.ErrUnavailable):
		default:
			return EndpointResult{}, err
		}
		select {
		case <-ctx.Done():
			return EndpointResult{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}
