package v2

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"jetstep/api/command"
	"jetstep/history/view"
)

// replayBody is the body of POST /apps/{appId}/functions/{functionId}/replays,
// which the original does not have.
type replayBody struct {
	Status []string   `json:"status"` // of the runs, default FAILED
	From   *time.Time `json:"from"`   // when they were queued; required
	Until  *time.Time `json:"until"`  // default now
	Limit  *int       `json:"limit"`
	Cursor string     `json:"cursor"` // go on behind it
	DryRun bool       `json:"dryRun"`
}

// pageOfReplays bounds how many runs one request makes again.
var pageOfReplays = limits{usual: 100, most: 500}

// replay makes runs of a function again, the earliest first.
func (s *server) replay(r *http.Request, path []string) (*answer, error) {
	var body replayBody
	if err := readBody(r, &body); err != nil {
		return nil, err
	}
	replay, err := body.request(s.Now())
	if err != nil {
		return nil, err
	}
	_, fn, err := s.findFunction(r, path)
	if err != nil {
		return nil, err
	}
	replay.Function = fn.ID
	done, err := s.Commands.Replay(r.Context(), replay)
	if errors.Is(err, view.ErrNotFound) {
		return nil, errCursor // of a run that is not there (any more)
	}
	if err != nil {
		return nil, rerunProblem(err)
	}
	var items []object
	for _, run := range done.Runs {
		items = append(items, showReplayed(run))
	}
	next := ""
	if len(items) > 0 {
		next = done.Next.Encode()
	}
	page := listing(items, next, done.More, replay.Limit)
	page.Metadata["timeRange"] = object{"from": stamp(replay.From), "until": stamp(replay.Until)}
	return page, nil
}

// request checks the body.
func (b *replayBody) request(now time.Time) (command.Replay, error) {
	replay := command.Replay{Statuses: []view.Status{view.Failed}, Until: now, Limit: pageOfReplays.usual, DryRun: b.DryRun}
	if b.From == nil {
		return replay, refused("missing_field", "from is required")
	}
	replay.From = *b.From
	if b.Until != nil {
		replay.Until = *b.Until
	}
	if !replay.From.Before(replay.Until) {
		return replay, invalid("from must be before until")
	}
	if b.Limit != nil {
		limit, err := pageOfReplays.check(int64(*b.Limit))
		if err != nil {
			return replay, err
		}
		replay.Limit = limit
	}
	if b.Cursor != "" {
		cursor, err := view.ParseCursor(b.Cursor)
		if err != nil {
			return replay, errCursor
		}
		replay.After = cursor
	}
	if len(b.Status) > 0 {
		replay.Statuses = nil
	}
	for _, text := range b.Status {
		switch status := view.Status(strings.ToUpper(text)); status {
		case view.Failed, view.Cancelled, view.Completed:
			replay.Statuses = append(replay.Statuses, status)
		default:
			return replay, invalid("Status is invalid") // also of runs that have not ended
		}
	}
	return replay, nil
}

func showReplayed(run command.ReplayedRun) object {
	o := object{"runId": run.Run.String()}
	if run.Err != nil {
		if p, ok := rerunProblem(run.Err).(*problem); ok {
			o["error"] = object{"code": p.code, "message": p.message}
		}
	} else if !run.New.IsZero() {
		o["newRunId"] = run.New.String()
	}
	return o
}
