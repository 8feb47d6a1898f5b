package graph

import (
	"context"
	"fmt"

	"github.com/oklog/ulid/v2"

	"jetstep/api/graph/generated"
	"jetstep/history/view"
)

func (q queries) WorkerConnection(ctx context.Context, connectionID ulid.ULID) (*generated.ConnectV1WorkerConnection, error) {
	row, err := q.reader.Worker(ctx, connectionID)
	if err != nil {
		return nil, fmt.Errorf("error retrieving worker connection: %w", err)
	}
	return toWorker(row), nil
}

func (q queries) WorkerConnections(ctx context.Context, first int, after *string, orderBy []*generated.ConnectV1WorkerConnectionsOrderBy, filter generated.ConnectV1WorkerConnectionsFilter) (*generated.ConnectV1WorkerConnectionsConnection, error) {
	query, err := workerQuery(first, after, orderBy, filter)
	if err != nil {
		return nil, fmt.Errorf("error retrieving worker connections: %w", err)
	}
	rows, err := q.reader.Workers(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("error retrieving worker connections: %w", err)
	}
	page := &generated.ConnectV1WorkerConnectionsConnection{
		Edges: []*generated.ConnectV1WorkerConnectionEdge{}, Query: query,
		PageInfo: &generated.PageInfo{HasNextPage: len(rows) == query.Limit},
	}
	for i := range rows {
		page.Edges = append(page.Edges, &generated.ConnectV1WorkerConnectionEdge{
			Node: toWorker(rows[i]), Cursor: query.Cursor(&rows[i]).Encode(),
		})
	}
	if n := len(page.Edges); n > 0 {
		page.PageInfo.StartCursor, page.PageInfo.EndCursor = &page.Edges[0].Cursor, &page.Edges[n-1].Cursor
	}
	return page, nil
}

func workerQuery(first int, after *string, orderBy []*generated.ConnectV1WorkerConnectionsOrderBy, filter generated.ConnectV1WorkerConnectionsFilter) (view.WorkerQuery, error) {
	query := view.WorkerQuery{TimeField: view.ConnectedAt, AppIDs: filter.AppIDs, Limit: pageSize(first, maxRuns, defaultRuns)}
	if filter.From != nil {
		query.From = *filter.From
	}
	if filter.Until != nil {
		query.Until = *filter.Until
	}
	if filter.TimeField != nil {
		query.TimeField = view.WorkerField(*filter.TimeField)
	}
	for _, status := range filter.Status {
		query.Statuses = append(query.Statuses, string(status))
	}
	for _, order := range orderBy {
		query.Orders = append(query.Orders, view.WorkerOrder{
			Field:      view.WorkerField(order.Field),
			Descending: order.Direction == generated.ConnectV1WorkerConnectionsOrderByDirectionDesc,
		})
	}
	var err error
	if after != nil {
		query.After, err = view.ParseCursor(*after)
	}
	return query, err
}

func toWorker(row view.Worker) *generated.ConnectV1WorkerConnection {
	return &generated.ConnectV1WorkerConnection{
		ID: row.ID, GatewayID: row.GatewayID, InstanceID: row.InstanceID, WorkerIP: row.IP,
		MaxWorkerConcurrency: row.MaxConcurrency, AppName: textPtr(row.AppName), AppID: row.AppID,
		ConnectedAt: row.ConnectedAt.UTC(), LastHeartbeatAt: timePtr(row.LastHeartbeatAt), DisconnectedAt: timePtr(row.DisconnectedAt),
		DisconnectReason: row.DisconnectReason, Status: generated.ConnectV1ConnectionStatus(row.Status), GroupHash: row.GroupHash,
		SdkLang: row.SDKLanguage, SdkVersion: row.SDKVersion, SdkPlatform: row.SDKPlatform, SyncID: row.SyncID,
		BuildID: row.AppVersion, AppVersion: row.AppVersion, FunctionCount: row.FunctionCount, CPUCores: row.CPUCores,
		MemBytes: int(row.MemoryBytes), Os: row.OS,
	}
}

func (f workersFields) TotalCount(ctx context.Context, obj *generated.ConnectV1WorkerConnectionsConnection) (int, error) {
	return f.reader.CountWorkers(ctx, obj.Query)
}

func (f workerFields) App(ctx context.Context, obj *generated.ConnectV1WorkerConnection) (*generated.App, error) {
	if obj.AppID == nil {
		return nil, nil
	}
	return f.appOf(ctx, *obj.AppID)
}
