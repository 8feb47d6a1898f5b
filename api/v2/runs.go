package v2

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/history/trace"
	"jetstep/history/view"
)

func (s *server) runs(r *http.Request, _ []string) (*answer, error) {
	p := paramsOf(r)
	if len(p.Values["functionId"]) > 0 && len(p.Values["appId"]) == 0 {
		return nil, invalid("appId is required when filtering by functionId")
	}
	return s.listRuns(r, p)
}

func (s *server) functionRuns(r *http.Request, path []string) (*answer, error) {
	p := paramsOf(r)
	p.Values["appId"], p.Values["functionId"] = path[:1], path[1:]
	return s.listRuns(r, p)
}

func (s *server) listRuns(r *http.Request, p params) (*answer, error) {
	query, err := s.runQuery(p)
	if err != nil {
		return nil, err
	}
	withOutput, err := p.flag("includeOutput")
	if err != nil {
		return nil, err
	}
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	limit := query.Limit
	var rows []view.Run
	if c.narrow(&query, p.Values["appId"], p.Values["functionId"]) {
		query.Limit++ // to see whether there are more
		rows, err = s.Reader.Runs(r.Context(), query)
		if errors.Is(err, view.ErrNotFound) {
			return nil, errCursor // of a run that is not there (any more)
		}
		if err != nil {
			return nil, err
		}
	}
	more := len(rows) > limit
	rows = rows[:min(limit, len(rows))]
	var items []object
	after := ""
	for i := range rows {
		item, err := s.showRun(r.Context(), c, rows[i], withOutput)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		after = query.Cursor(&rows[i]).Encode()
	}
	page := listing(items, after, more, limit)
	if from, until := p.Get("from"), p.Get("until"); from != "" && until != "" {
		page.Metadata["timeRange"] = object{"from": stamp(query.From), "until": stamp(query.Until)}
	}
	return page, nil
}

// runQuery reads all parameters that need no look-up.
func (s *server) runQuery(p params) (query view.RunQuery, err error) {
	query.Source = view.FromSpans
	if query.Limit, err = p.limit(pageOfApps); err != nil {
		return query, err
	}
	if text := p.Get("cursor"); text != "" {
		if query.After, err = view.ParseCursor(text); err != nil {
			return query, errCursor
		}
	}
	if query.From, err = p.time("from"); err != nil {
		return query, err
	}
	if query.Until, err = p.time("until"); err != nil {
		return query, err
	}
	if query.Until.IsZero() {
		query.Until = s.Now()
	} else if !query.From.IsZero() && !query.From.Before(query.Until) {
		return query, invalid("from must be before until")
	}
	if err := p.sorting(&query); err != nil {
		return query, err
	}
	if p.Get("isDeferred") != "" {
		deferred, err := p.flag("isDeferred")
		if err != nil {
			return query, err
		}
		query.Deferred = &deferred
	}
	query.Statuses, err = p.statuses()
	return query, err
}

var timeFields = map[string]view.TimeField{
	"": view.QueuedAt, "queuedAt": view.QueuedAt, "startedAt": view.StartedAt, "endedAt": view.EndedAt,
	"QUEUED_AT": view.QueuedAt, "STARTED_AT": view.StartedAt, "ENDED_AT": view.EndedAt,
}

// sorting is always by the start; timeField only selects.
func (p params) sorting(query *view.RunQuery) error {
	field, ok := timeFields[p.Get("timeField")]
	if !ok {
		return invalid("timeField is invalid")
	}
	order := strings.ToLower(p.Get("order"))
	if order != "" && order != "asc" && order != "desc" {
		return invalid("order is invalid")
	}
	query.TimeField = field
	query.Orders = []view.Order{{Field: view.StartedAt, Descending: order != "asc"}}
	return nil
}

func (p params) statuses() ([]view.Status, error) {
	var all []view.Status
	for _, text := range p.Values["status"] {
		switch status := view.Status(strings.ToUpper(text)); status {
		case view.Queued, view.Running, view.Completed, view.Failed, view.Cancelled:
			all = append(all, status)
		default:
			return nil, invalid("Status is invalid")
		}
	}
	return all, nil
}

// narrow restricts a query to apps and functions by their names. It tells
// whether anything can be left.
func (c *catalog) narrow(query *view.RunQuery, apps, functions []string) bool {
	if len(apps) == 0 {
		return true
	}
	for _, app := range c.apps {
		if !slices.Contains(apps, publicID(app)) {
			continue
		}
		query.AppIDs = append(query.AppIDs, app.ID)
		for _, f := range c.functions {
			if f.AppID == app.ID && f.Slug != shortID(app, f.Slug) && slices.Contains(functions, shortID(app, f.Slug)) {
				query.FunctionIDs = append(query.FunctionIDs, f.ID)
			}
		}
	}
	return len(query.AppIDs) > 0 && (len(functions) == 0 || len(query.FunctionIDs) > 0)
}

// pageOfEventRuns are the sizes of a page of the runs of an event.
var pageOfEventRuns = limits{usual: 20, most: 40, zeroIsUsual: true}

func (s *server) eventRuns(r *http.Request, path []string) (*answer, error) {
	p := paramsOf(r)
	limit, err := p.limit(pageOfEventRuns)
	if err != nil {
		return nil, err
	}
	withOutput, err := p.flag("includeOutput")
	if err != nil {
		return nil, err
	}
	cursor := p.Get("cursor")
	if cursor != "" {
		if _, err := ulid.ParseStrict(cursor); err != nil {
			return nil, errCursor
		}
	}
	event, err := parseEventID(path[0])
	if err != nil {
		return nil, err
	}
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	found, err := s.Reader.RunsOfEvents(r.Context(), []ulid.ULID{event})
	if err != nil {
		return nil, err
	}
	page, more := window(found[event], func(run view.Run) string { return run.ID.String() }, cursor, limit)
	var items []object
	for _, run := range page {
		item, err := s.showRun(r.Context(), c, run, withOutput)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		cursor = run.ID.String()
	}
	return listing(items, cursor, more, limit), nil
}

func (s *server) run(r *http.Request, path []string) (*answer, error) {
	withOutput, err := paramsOf(r).flag("includeOutput")
	if err != nil {
		return nil, err
	}
	run, err := s.findRun(r.Context(), path[0])
	if err != nil {
		return nil, err
	}
	c, err := s.catalog(r)
	if err != nil {
		return nil, err
	}
	if _, ok := c.function(run.FunctionID); !ok {
		return nil, missing("Function not found")
	}
	shown, err := s.showRun(r.Context(), c, run, withOutput)
	if err != nil {
		return nil, err
	}
	return single(shown)
}

func (s *server) findRun(ctx context.Context, text string) (view.Run, error) {
	id, err := parseRunID(text)
	if err != nil {
		return view.Run{}, err
	}
	run, err := s.Reader.Run(ctx, id)
	if errors.Is(err, view.ErrNotFound) {
		return run, missing("Run not found")
	}
	return run, err
}

// showRun is a run as clients see it.
func (s *server) showRun(ctx context.Context, c *catalog, run view.Run, withOutput bool) (object, error) {
	o := object{"id": run.ID.String(), "queuedAt": stamp(run.ID.Timestamp()), "status": string(run.Status)}
	o.set("startedAt", stamp(run.StartedAt))
	if run.Status.Ended() {
		o.set("endedAt", stamp(run.EndedAt))
		o.set("durationMs", millis(run.EndedAt.Sub(run.StartedAt)))
	}
	app, _ := c.app(run.AppID)
	if app.ID != uuid.Nil {
		o["app"] = object{"id": publicID(app)}
	}
	if f, ok := c.function(run.FunctionID); ok {
		definition, err := stored(f)
		if err != nil {
			return nil, err
		}
		o["function"] = with("id", shortID(app, definition.Slug), "name", definition.Name)
	}
	o.set("trigger", trigger(run))
	if !withOutput || !run.Status.Ended() { // what a step has returned so far is not the run's output
		return o, nil
	}
	rows, err := s.Reader.Spans(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	output, own := trace.RunResult(rows)
	if !own && run.Output != nil {
		output = run.Output // the run's end is known before its rows are written
	}
	o.set("output", structure(output))
	return o, nil
}

// trigger names only the first event of a batch.
func trigger(run view.Run) object {
	o := object{}
	if len(run.TriggerIDs) > 0 {
		o["eventIds"] = []string{run.TriggerIDs[0].String()}
	}
	if run.BatchID != nil {
		o["batchId"], o["isBatch"] = run.BatchID.String(), true
	}
	o.set("cronSchedule", run.Cron)
	return o
}
