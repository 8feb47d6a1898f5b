package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"jetstep/function"
	"jetstep/state"
)

// Metadata attaches things to runs.
type Metadata interface {
	// AddMetadata records what is attached to a run, known or not. It fails
	// with state.ErrRunMetadataTooLarge.
	AddMetadata(ctx context.Context, put *state.MetadataPut) error
}

// maxMetadataBody is room for all that a run may have, and its JSON.
const maxMetadataBody = 2 * state.MaxRunMetadata

// addMetadata is POST /v1/runs/{run}/metadata (http-api §10, sdk-protocol §20.6).
func (s *Server) addMetadata(c echo.Context) error {
	run, err := runID(c)
	if err != nil {
		return err
	}
	body, err := readBody(c, maxMetadataBody)
	if err != nil {
		return err
	}
	put, err := parseMetadata(body)
	if err != nil {
		return err
	}
	put.RunID = run
	if len(put.Items) == 0 {
		return emptyJSON(c)
	}
	err = s.cfg.Metadata.AddMetadata(context.WithoutCancel(c.Request().Context()), put)
	if errors.Is(err, state.ErrRunMetadataTooLarge) {
		return problemf(http.StatusRequestEntityTooLarge, "Cumulative metadata size exceeds limit")
	}
	if err != nil {
		return err
	}
	return emptyJSON(c)
}

// parseMetadata reads a body; the error is a problem.
func parseMetadata(body []byte) (*state.MetadataPut, error) {
	var sent struct {
		Target   json.RawMessage  `json:"target"`
		Metadata []state.Metadata `json:"metadata"`
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return nil, problemf(http.StatusBadRequest, "Invalid metadata target")
	}
	put, scope, ok := parseTarget(sent.Target)
	if !ok {
		return nil, problemf(http.StatusBadRequest, "Invalid metadata target")
	}
	size := 0
	for i := range sent.Metadata {
		item := &sent.Metadata[i]
		item.Scope = scope
		err := item.Validate()
		size += item.Size()
		switch {
		case errors.Is(err, state.ErrMetadataTooLarge), size > state.MaxMetadata:
			return nil, problemf(http.StatusRequestEntityTooLarge, "Metadata span exceeds maximum size of 64KB")
		case err != nil:
			return nil, problemf(http.StatusBadRequest, "Invalid metadata")
		}
	}
	put.Items = sent.Metadata
	return put, nil
}

// parseTarget reads what metadata are attached to: the run, a step of it, or a
// span of an extended trace of a step's attempt.
func parseTarget(raw json.RawMessage) (put *state.MetadataPut, scope string, ok bool) {
	var target struct {
		StepID  *string `json:"step_id"`
		Index   *int    `json:"step_index"`
		Attempt *int    `json:"step_attempt"`
		SpanID  *string `json:"span_id"`
	}
	if len(raw) > 0 && json.Unmarshal(raw, &target) != nil {
		return nil, "", false
	}
	put, scope = &state.MetadataPut{Attempt: -1}, "run"
	if target.StepID == nil {
		return put, scope, target.Index == nil && target.Attempt == nil && target.SpanID == nil
	}
	index := 0
	if target.Index != nil {
		index = *target.Index
	}
	put.Step, scope = function.StepID(*target.StepID, index), "step"
	if target.Attempt != nil {
		put.Attempt = *target.Attempt
	}
	if target.SpanID != nil {
		put.Span, scope = *target.SpanID, "extended_trace"
	}
	return put, scope, *target.StepID != "" && index >= 0 && put.Attempt >= -1
}
