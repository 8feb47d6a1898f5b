package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"

	"jetstep/expr"
	"jetstep/history"
)

// event is an event in /v1 (http-api §10).
type event struct {
	InternalID    ulid.ULID       `json:"internal_id"`
	AccountID     uuid.UUID       `json:"account_id"`     // zero, as in the original
	EnvironmentID uuid.UUID       `json:"environment_id"` // zero, as in the original
	Source        string          `json:"source"`
	SourceID      *uuid.UUID      `json:"source_id"`
	ReceivedAt    time.Time       `json:"received_at"`
	ID            string          `json:"id,omitempty"`
	Name          string          `json:"name"`
	Data          json.RawMessage `json:"data"`
	User          json.RawMessage `json:"user,omitempty"`
	TS            int64           `json:"ts,omitempty"`
	V             string          `json:"v,omitempty"`
	// Matched is an addition: how many functions the event started or resumed.
	// It is left out when that was before the server's last start.
	Matched *int `json:"matched,omitempty"`
}

func showEvent(e *history.Event) event {
	shown := event{InternalID: e.InternalID, ReceivedAt: e.ReceivedAt.UTC(), ID: e.ID, Name: e.Name, Data: e.Data, User: e.User, TS: e.TS, V: e.V}
	if e.Matched >= 0 {
		shown.Matched = &e.Matched
	}
	return shown
}

// The bounds of the event list.
const (
	defaultEvents = 20
	maxEvents     = 51
	eventWindow   = time.Hour
)

// listEvents is GET /v1/events.
func (s *Server) listEvents(c echo.Context) error {
	filter, err := s.eventFilter(c)
	if err != nil {
		return err
	}
	found, err := s.cfg.History.Events(c.Request().Context(), filter)
	if err != nil {
		return err
	}
	events := make([]event, len(found))
	for i := range found {
		events[i] = showEvent(&found[i])
	}
	return s.sendData(c, events, notCached)
}

// eventFilter reads the query of listEvents. The error is a problem.
func (s *Server) eventFilter(c echo.Context) (history.EventFilter, error) {
	now := s.cfg.Now()
	filter := history.EventFilter{
		Name:           c.QueryParam("name"),
		Limit:          defaultEvents,
		ReceivedAfter:  now.Add(-eventWindow),
		ReceivedBefore: now,
	}
	if limit, err := strconv.Atoi(c.QueryParam("limit")); err == nil && limit != 0 {
		filter.Limit = min(max(limit, 1), maxEvents)
	}
	if cursor := c.QueryParam("cursor"); cursor != "" {
		id, err := ulid.ParseStrict(cursor)
		if err != nil {
			return filter, problemf(http.StatusBadRequest, "Invalid cursor query parameter")
		}
		filter.Before = id
	}
	for name, bound := range map[string]*time.Time{"received_after": &filter.ReceivedAfter, "received_before": &filter.ReceivedBefore} {
		text := c.QueryParam(name)
		if text == "" {
			continue
		}
		date, err := expr.ParseDate(text)
		if err != nil {
			// One text for both, as clients know it.
			return filter, problemf(http.StatusBadRequest, "Invalid received_after query parameter")
		}
		*bound = date
	}
	return filter, nil
}

// eventID is the event of the path.
func eventID(c echo.Context) (ulid.ULID, error) {
	text := c.Param("event")
	return parseULID(text, problemf(http.StatusBadRequest, "Invalid event ID: %s", text))
}

// getEvent is GET /v1/events/{event}.
func (s *Server) getEvent(c echo.Context) error {
	id, err := eventID(c)
	if err != nil {
		return err
	}
	found, err := s.cfg.History.Event(c.Request().Context(), id)
	switch {
	case errors.Is(err, history.ErrEventNotFound):
		return problemf(http.StatusNotFound, "Event not found")
	case err != nil:
		return err
	}
	return s.sendData(c, showEvent(&found), cacheEvent)
}

// eventRuns is GET /v1/events/{event}/runs.
func (s *Server) eventRuns(c echo.Context) error {
	id, err := eventID(c)
	if err != nil {
		return err
	}
	found, err := s.cfg.History.EventRuns(c.Request().Context(), id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), pagePatience)
	defer cancel()
	runs := make([]run, len(found))
	for i := range found {
		runs[i] = s.showRun(ctx, &found[i])
		runs[i].EnvironmentID = uuid.UUID{} // in this list only (http-api §10)
	}
	return s.sendData(c, runs, cacheEventRun)
}
