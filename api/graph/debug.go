package graph

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"jetstep/api/graph/generated"
	"jetstep/history/trace"
)

func (q queries) DebugRun(ctx context.Context, query generated.DebugRunQuery) (*generated.DebugRun, error) {
	shown := &generated.DebugRun{DebugTraces: []*generated.RunTraceSpan{}}
	if query.DebugRunID == nil {
		return shown, nil
	}
	nodes, err := q.debugTraces(ctx, *query.DebugRunID, "")
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		span, err := toSpan(n, nil)
		if err != nil {
			return nil, err
		}
		shown.DebugTraces = append(shown.DebugTraces, span)
	}
	return shown, nil
}

func (q queries) DebugSession(ctx context.Context, query generated.DebugSessionQuery) (*generated.DebugSession, error) {
	if query.DebugSessionID == nil {
		return nil, errors.New("debug session not found")
	}
	nodes, err := q.debugTraces(ctx, "", *query.DebugSessionID)
	if err != nil {
		return nil, err
	}
	session := &generated.DebugSession{}
	for _, n := range nodes {
		session.DebugRuns = append(session.DebugRuns, &generated.DebugSessionRun{
			Status: generated.RunTraceSpanStatus(n.Status), QueuedAt: n.QueuedAt, StartedAt: timePtr(n.StartedAt),
			EndedAt: timePtr(n.EndedAt), DebugRunID: optionalULID(&n.DebugRunID),
		})
	}
	return session, nil
}

// debugTraces are the runs that the debugger made, earliest first.
func (q queries) debugTraces(ctx context.Context, run, session string) ([]*trace.Node, error) {
	rows, err := q.reader.DebugSpans(ctx, run, session)
	if err != nil {
		return nil, err
	}
	byRun := map[string][]trace.Row{}
	for _, row := range rows {
		byRun[row.RunID] = append(byRun[row.RunID], row)
	}
	var nodes []*trace.Node
	for _, own := range byRun {
		assembled, err := trace.Assemble(own)
		if err != nil {
			continue // rows of a run that is not there yet
		}
		nodes = append(nodes, assembled.Preview())
	}
	slices.SortFunc(nodes, func(a, b *trace.Node) int { return cmp.Compare(a.RunID, b.RunID) })
	return nodes, nil
}
