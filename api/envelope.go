package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/oklog/ulid/v2"
)

// envelope is around the data of a /v1 answer (http-api §10).
type envelope struct {
	Data     any      `json:"data"`
	Metadata metadata `json:"metadata"`
}

type metadata struct {
	FetchedAt   time.Time  `json:"fetched_at"`
	CachedUntil *time.Time `json:"cached_until,omitempty"`
}

// How long clients may keep answers.
const (
	notCached     = 0
	cacheRun      = 3 * time.Second
	cacheEvent    = 5 * time.Second
	cacheJobs     = 5 * time.Second
	cacheEventRun = 15 * time.Second
)

// sendData answers a /v1 request. Nothing is cached here; the client is told
// what it may do.
func (s *Server) sendData(c echo.Context, data any, cache time.Duration) error {
	e := s.envelope(data)
	if cache > 0 {
		until := e.Metadata.FetchedAt.Add(cache)
		e.Metadata.CachedUntil = &until
		c.Response().Header().Set(echo.HeaderCacheControl, fmt.Sprintf("private, max-age=%d", cache/time.Second))
	}
	s.send(c, http.StatusOK, e)
	return nil
}

func (s *Server) envelope(data any) envelope {
	return envelope{Data: data, Metadata: metadata{FetchedAt: s.cfg.Now().UTC()}}
}

// parseULID reads an id of a path. The error is refusal for what is none.
func parseULID(text string, refusal *problem) (ulid.ULID, error) {
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return ulid.ULID{}, refusal
	}
	return id, nil
}
