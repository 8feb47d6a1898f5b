package partition

import (
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/state"
)

// singleton is the key that the run has to hold, nil for none, and the live
// run that holds it (flow-control §16).
func (t *tx) singleton(s *starting) (key *state.GateKey, holder ulid.ULID) {
	cfg := s.fn.Singleton
	if cfg == nil {
		return nil, ulid.ULID{}
	}
	text, off, err := s.in.KeyText(cfg.Key)
	t.complain(s.fn, cfg.Key, err)
	if off {
		return nil, ulid.ULID{}
	}
	found := state.NewValueKey(state.OfSingleton, s.fn.ID, "", "")
	if cfg.Key != "" {
		found = state.NewValueKey(state.OfSingleton, s.fn.ID, "", function.Hash(text))
	}
	holder, held := t.o.index.Singleton(found)
	if !held {
		holder = t.o.node.foreignHolder(s.fn.ID, text)
	}
	return &found, holder
}

// withSingleton makes a run's flow hold a singleton.
func withSingleton(flow *state.Flow, key *state.GateKey) *state.Flow {
	if flow == nil {
		flow = &state.Flow{}
	}
	flow.Singleton = key
	return flow
}
