package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/trace"
)

var errNoOutput = errors.New("no output found")

func (q queries) RunTraceSpanOutputByID(ctx context.Context, outputID string) (*generated.RunTraceSpanOutput, error) {
	ref, err := trace.ParseOutputID(outputID)
	if err != nil {
		return nil, err
	}
	if !ref.Preview {
		// Such ids point into the table traces; our own never do.
		return nil, errNoOutput
	}
	run, err := ulid.ParseStrict(ref.RunID)
	if err != nil {
		return nil, fmt.Errorf("error parsing span identifier: %w", err)
	}
	rows, err := q.reader.Spans(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("error retrieving output: %w", err)
	}
	return toOutput(trace.FindOutput(rows, ref)), nil
}

func toOutput(found trace.Output) *generated.RunTraceSpanOutput {
	output := &generated.RunTraceSpanOutput{Input: rawPtr(found.Input), Data: rawPtr(found.Data)}
	if e := found.Error; e != nil {
		output.Error = &generated.StepError{Message: e.Message, Name: e.Name, Stack: e.Stack, Cause: e.Cause}
	}
	return output
}

func rawPtr(raw json.RawMessage) *string {
	if raw == nil {
		return nil
	}
	return ptr(string(raw))
}
