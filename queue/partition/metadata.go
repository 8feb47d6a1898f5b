package partition

import (
	"context"
	"fmt"

	"jetstep/state"
)

// AddMetadata records what is attached to a run, which may have ended. It
// fails with state.ErrRunMetadataTooLarge when a live run would have too much.
func (n *Node) AddMetadata(ctx context.Context, put *state.MetadataPut) error {
	p := n.partitionOfRun(put.RunID)
	var err error
	if o := n.owner(p); o != nil {
		err = o.addMetadata(ctx, put)
	} else {
		_, err = n.ask(ctx, p, question{Kind: askMetadata, Metadata: put})
	}
	if err != nil {
		return fmt.Errorf("metadata of run %s: %w", put.RunID, err)
	}
	return nil
}

func (o *Owner) addMetadata(ctx context.Context, put *state.MetadataPut) error {
	return o.do(ctx, func(t *tx) error {
		fact := *put
		if run, live := o.index.Run(put.RunID); live {
			fact.FunctionID, fact.RunSize = run.FunctionID, run.MetadataSize+put.Size()
			if fact.RunSize > state.MaxRunMetadata {
				return state.ErrRunMetadataTooLarge
			}
		}
		t.do(&fact)
		return nil
	})
}
