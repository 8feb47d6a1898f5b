package server

import (
	"context"
	"errors"
	"fmt"

	"jetstep/state"
)

// AddMetadata tells of what is attached to a run, which may have ended, and counts
// it for a live one. It fails with state.ErrRunMetadataTooLarge when that would
// have too much.
func (s *Server) AddMetadata(ctx context.Context, put *state.MetadataPut) error {
	fact := *put
	run, err := s.Load(ctx, put.RunID)
	if err != nil && !errors.Is(err, state.ErrRunNotFound) {
		return fmt.Errorf("metadata of run %s: %w", put.RunID, err)
	}
	if run != nil {
		fact.FunctionID, fact.RunSize = run.FunctionID, run.MetadataSize+put.Size()
		if fact.RunSize > state.MaxRunMetadata {
			return fmt.Errorf("metadata of run %s: %w", put.RunID, state.ErrRunMetadataTooLarge)
		}
		err := s.Commit(ctx, &state.Transition{RunID: put.RunID, MetadataSize: put.Size()})
		if err != nil && !errors.Is(err, state.ErrRunNotFound) {
			return fmt.Errorf("metadata of run %s: %w", put.RunID, err)
		}
	}
	s.Tell(ctx, &fact)
	return nil
}
