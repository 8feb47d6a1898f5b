package metrics

import (
	"context"

	"jetstep/state"
)

// Store counts the steps that calls report while they last (sdk-protocol §18.1),
// on their way to another store.
func (e *Engine) Store(to state.Store) state.Store { return countedStore{to, e} }

type countedStore struct {
	state.Store
	engine *Engine
}

func (s countedStore) Commit(ctx context.Context, tr *state.Transition) error {
	err := s.Store.Commit(ctx, tr)
	if err == nil && tr.Reported != nil {
		s.engine.Reported(tr.Reported.Ops)
	}
	return err
}
