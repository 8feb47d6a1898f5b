package executor

import (
	"bytes"
	"encoding/json"

	"jetstep/executor/driver"
	"jetstep/jcs"
	"jetstep/state"
)

// screenMetadata leaves of the metadata that ops carry what is valid and fits
// into what a run may have, and adds what follows from an op's options. It
// returns by how much the run's metadata grow, in bytes. Metadata are for
// display: nothing that is wrong with them may change what is executed
// (sdk-protocol §20.6).
func (e *Executor) screenMetadata(run *state.Run, ops []driver.Opcode) (size int) {
	for i := range ops {
		op := &ops[i]
		items, err := state.ParseMetadata(op.Metadata)
		if err != nil {
			e.log.Warn("metadata of a step were left out", "run_id", run.ID, "step", op.DisplayNameOrFallback(), "error", err)
		}
		if experiment, ok := experimentOf(op); ok {
			items = append(items, experiment)
		}
		if len(items) == 0 {
			op.Metadata = nil
			continue
		}
		kept := items[:0]
		for _, item := range items {
			if run.MetadataSize+size+item.Size() > state.MaxRunMetadata {
				e.log.Warn("metadata of a step were left out: the run has too much", "run_id", run.ID, "step", op.DisplayNameOrFallback())
				break
			}
			size += item.Size()
			kept = append(kept, item)
		}
		if op.Metadata, err = jcs.Encode(kept); err != nil {
			op.Metadata = nil // raw values that parsed encode again
		}
	}
	return size
}

// experimentOf is what a step that belongs to a variant of an experiment says
// of it in its options; the step that selected the variant says it by itself.
func experimentOf(op *driver.Opcode) (m state.Metadata, ok bool) {
	if !bytes.Contains(op.Opts, []byte(`"experimentName"`)) {
		return m, false
	}
	var opts struct {
		Name     string `json:"experimentName"`
		Variant  string `json:"variant"`
		Strategy string `json:"selectionStrategy"`
	}
	if json.Unmarshal(op.Opts, &opts) != nil || opts.Name == "" {
		return m, false
	}
	values, err := jcs.Encode(map[string]string{"name": opts.Name, "variant": opts.Variant, "selection_strategy": opts.Strategy})
	if err != nil {
		return m, false
	}
	return state.Metadata{Scope: "step", Kind: "inngest.experiment", Op: "merge", Values: values}, true
}
