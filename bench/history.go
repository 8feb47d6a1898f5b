package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"
)

const (
	// historyBacklog is how many runs are under way at most while the history
	// is being made: enough to keep the server busy.
	historyBacklog = 20_000
	// historyReads is how often each list is read.
	historyReads = 200
	// pageSize is that of the lists.
	pageSize = 40
)

// measureHistory makes 1,000,000 runs, some of which fail and some of which are
// of a function that has few, and reads them: as lists and one by one.
func measureHistory(ctx context.Context, m *measurement) error {
	from := time.Now()
	if err := m.makeHistory(ctx, m.amount(1_000_000)); err != nil {
		return err
	}
	return m.readHistory(ctx, from)
}

// measureLists reads a history that the server has, made by the scenario history.
func measureLists(ctx context.Context, m *measurement) error {
	return m.readHistory(ctx, time.Unix(0, 0))
}

func (m *measurement) readHistory(ctx context.Context, from time.Time) error {
	h := &historyReader{m: m, from: from}
	if err := h.find(ctx); err != nil {
		return err
	}
	for _, list := range h.lists() {
		if err := h.measureList(ctx, list); err != nil {
			return err
		}
	}
	return h.measureTraces(ctx)
}

// historyEvents are the events of every hundred runs, with the number of runs.
var historyEvents = []struct {
	name string
	runs int
}{{"bench/noop", 96}, {"bench/three", 1}, {"bench/rare", 2}, {"bench/broken", 1}}

// makeHistory makes n runs as fast as the server goes.
func (m *measurement) makeHistory(ctx context.Context, n int) error {
	const batch = 100
	before, _ := m.target.CPU()
	begin := time.Now()
	for sent := 0; sent < n; {
		for range max(1, historyBacklog/4/batch) {
			for _, e := range historyEvents {
				if err := m.target.send(ctx, load{name: e.name}.batch(sent, e.runs)); err != nil {
					return err
				}
			}
			sent += batch
		}
		left := min(historyBacklog*3/4, max(0, n-sent))
		if err := until(ctx, "runs", 10*time.Minute, func() bool { return sent-int(m.app.Completed.Load()) <= left }); err != nil {
			return err
		}
	}
	m.report("runs completed", float64(m.app.Completed.Load())/time.Since(begin).Seconds(), "runs/s")
	m.cpuPer(before, n, "runs")
	return m.reportProjection(ctx)
}

// historyReader reads what makeHistory made since a moment.
type historyReader struct {
	m      *measurement
	from   time.Time
	rare   string    // id of the function with few runs
	app    string    // name of its app
	middle time.Time // between the first run and the last one
	cursor string    // of GraphQL, to there
}

// historyList is one way to ask for a page of runs.
type historyList struct {
	what   string
	filter map[string]any // of GraphQL
	oldest bool           // the oldest first
	after  string
	query  url.Values // of REST v2
}

// find asks for what the lists need.
func (h *historyReader) find(ctx context.Context) error {
	var catalog struct {
		Functions []struct {
			ID, Name string
			App      struct{ Name string }
		}
	}
	if err := h.graph(ctx, `{functions{id name app{name}}}`, nil, &catalog); err != nil {
		return err
	}
	for _, fn := range catalog.Functions {
		if fn.Name != "rare" {
			continue
		}
		page, err := h.page(ctx, historyList{filter: map[string]any{"functionIDs": []string{fn.ID}}})
		if err != nil {
			return err
		}
		if len(page.Edges) > 0 {
			h.rare, h.app = fn.ID, fn.App.Name
		}
	}
	var times [2]time.Time
	for i, oldest := range []bool{true, false} {
		page, err := h.page(ctx, historyList{oldest: oldest})
		if err != nil {
			return err
		}
		if h.rare == "" || len(page.Edges) == 0 {
			return errors.New("the server has no history to read")
		}
		times[i] = page.Edges[0].Node.QueuedAt
	}
	h.middle = times[0].Add(times[1].Sub(times[0]) / 2)
	page, err := h.page(ctx, historyList{filter: map[string]any{"until": timestamp(h.middle)}})
	h.cursor = page.PageInfo.EndCursor
	return err
}

func (h *historyReader) lists() []historyList {
	before := timestamp(h.middle)
	return []historyList{
		{what: "newest", query: url.Values{}},
		{what: "failed", filter: map[string]any{"status": []string{"FAILED"}}, query: url.Values{"status": {"FAILED"}}},
		{what: "function", filter: map[string]any{"functionIDs": []string{h.rare}}, query: url.Values{"appId": {h.app}, "functionId": {"rare"}}},
		{
			what:   "function+status",
			filter: map[string]any{"functionIDs": []string{h.rare}, "status": []string{"COMPLETED"}},
			query:  url.Values{"appId": {h.app}, "functionId": {"rare"}, "status": {"COMPLETED"}},
		},
		{what: "until", filter: map[string]any{"until": before}, query: url.Values{"until": {before}}},
		{what: "middle", after: h.cursor, query: url.Values{"cursor": {h.cursor}}},
	}
}

// measureList reads a list by both APIs.
func (h *historyReader) measureList(ctx context.Context, list historyList) error {
	err := h.measure("list "+list.what+", GraphQL", historyReads, func(int) error {
		page, err := h.page(ctx, list)
		if err == nil && len(page.Edges) == 0 {
			err = fmt.Errorf("the list %s is empty", list.what)
		}
		return err
	})
	if err != nil {
		return err
	}
	list.query.Set("limit", fmt.Sprint(pageSize))
	return h.measure("list "+list.what+", REST", historyReads, func(int) error {
		var answer struct{ Data []json.RawMessage }
		err := h.get(ctx, "/v2/runs?"+list.query.Encode(), &answer)
		if err == nil && len(answer.Data) == 0 {
			err = fmt.Errorf("the list %s is empty", list.what)
		}
		return err
	})
}

// measureTraces reads the traces of runs of the middle.
func (h *historyReader) measureTraces(ctx context.Context) error {
	page, err := h.page(ctx, historyList{after: h.cursor})
	if err != nil {
		return err
	}
	id := func(i int) string { return page.Edges[i%len(page.Edges)].Node.ID }
	for shape, preview := range map[string]bool{"trace": true, "older trace": false} {
		err := h.measure(shape+", GraphQL", historyReads, func(i int) error {
			var answer struct {
				Run struct{ Trace *struct{ Name string } }
			}
			err := h.graph(ctx, traceDocument, map[string]any{"r": id(i), "p": preview}, &answer)
			if err == nil && answer.Run.Trace == nil {
				err = fmt.Errorf("run %s has no trace", id(i))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return h.measure("trace, REST", historyReads, func(i int) error {
		var answer struct {
			Data struct{ RootSpan json.RawMessage }
		}
		err := h.get(ctx, "/v2/runs/"+id(i)+"/trace", &answer)
		if err == nil && len(answer.Data.RootSpan) == 0 {
			err = fmt.Errorf("run %s has no trace", id(i))
		}
		return err
	})
}

const (
	listDocument = `query($n:Int!,$a:String,$f:RunsFilterV2!,$o:[RunsV2OrderBy!]!){runs(first:$n,after:$a,filter:$f,orderBy:$o,preview:true){
		edges{cursor node{id status queuedAt startedAt endedAt eventName cronSchedule isBatch hasAI function{name slug} app{externalID name}}}
		pageInfo{hasNextPage startCursor endCursor}}}`
	spanFields    = `name status attempts startedAt endedAt duration outputID stepOp spanID parentSpanID metadata{scope kind values}`
	traceDocument = `query($r:String!,$p:Boolean!){run(runID:$r){id status trace(preview:$p){` + spanFields +
		` childrenSpans{` + spanFields + ` childrenSpans{` + spanFields + `}}}}}`
)

// runPage is a page of runs as GraphQL gives it.
type runPage struct {
	Edges []struct {
		Node struct {
			ID       string
			QueuedAt time.Time
		}
	}
	PageInfo struct{ EndCursor string }
}

func (h *historyReader) page(ctx context.Context, list historyList) (runPage, error) {
	filter := map[string]any{"from": timestamp(h.from)}
	maps.Copy(filter, list.filter)
	direction := "DESC"
	if list.oldest {
		direction = "ASC"
	}
	variables := map[string]any{
		"n": pageSize, "f": filter, "o": []any{map[string]any{"field": "QUEUED_AT", "direction": direction}},
	}
	if list.after != "" {
		variables["a"] = list.after
	}
	var answer struct{ Runs runPage }
	err := h.graph(ctx, listDocument, variables, &answer)
	return answer.Runs, err
}

func timestamp(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// measure reports the 50th and 95th percentile of n reads.
func (h *historyReader) measure(what string, n int, read func(i int) error) error {
	d := newDelays()
	for i := range n {
		begin := time.Now()
		if err := read(i); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		d.taken = append(d.taken, time.Since(begin))
	}
	h.m.report(what+", p50", d.percentile(50), "ms")
	h.m.report(what+", p95", d.percentile(95), "ms")
	return nil
}

// graph asks by GraphQL; answer is decoded from its data.
func (h *historyReader) graph(ctx context.Context, document string, variables map[string]any, answer any) error {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return err
	}
	var envelope struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := h.call(ctx, http.MethodPost, "/v0/gql", body, &envelope); err != nil {
		return err
	}
	if len(envelope.Errors) > 0 {
		return fmt.Errorf("GraphQL: %s", envelope.Errors[0].Message)
	}
	return json.Unmarshal(envelope.Data, answer)
}

func (h *historyReader) get(ctx context.Context, path string, answer any) error {
	return h.call(ctx, http.MethodGet, path, nil, answer)
}

func (h *historyReader) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, h.m.target.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if h.m.target.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+h.m.target.Bearer)
	}
	content, err := do(req, method+" "+path)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, answer)
}
