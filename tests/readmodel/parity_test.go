package readmodel_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/tests/harness"
)

// TestParity runs what was run when the database was captured, and compares
// everything that clients see of it with what the original showed.
func TestParity(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	for name, args := range map[string]func(*testing.T) []string{
		"PostgreSQL": func(t *testing.T) []string { return []string{"--postgres-uri", newPostgres(t)} },
		"SQLite":     func(*testing.T) []string { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCapture(t, args(t)...)
			began := time.Now()
			c.play()
			p := &parity{T: t, server: c.server, from: began, runs: c.awaitRuns(began)}
			t.Run("lists", p.requireLists)
			t.Run("traces", p.requireTraces)
			t.Run("older traces", p.requireOlderTraces)
			t.Run("triggers", p.requireTriggers)
			t.Run("outputs", p.requireOutputs)
			t.Run("events", p.requireEvents)
			t.Run("REST", p.requireREST)
		})
	}
}

// parity are our runs beside those of the original, named as its captured
// answers are: by function, the newest first; only the first of a cron's.
type parity struct {
	*testing.T
	server *harness.Server
	from   time.Time
	runs   map[string]string // ids
}

const runList = `query($f:RunsFilterV2!,$o:[RunsV2OrderBy!]!,$n:Int!,$a:String,$p:Boolean){runs(first:$n,after:$a,orderBy:$o,filter:$f,preview:$p){edges{node{id status startedAt function{slug}}}}}`

// wanted are the captured runs, without those of the worker and of the second
// tick.
func wanted(t *testing.T) []string {
	var names []string
	for name := range goldens(t, "gql-trace-") {
		if name = strings.TrimPrefix(name, "gql-trace-"); !strings.HasPrefix(name, "fixture-worker") {
			names = append(names, name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == secondTick })
}

const secondTick = "fixture-app-every-minute-2"

// awaitRuns waits until all runs that there should be have ended in the
// database, whose statuses count when one is asked for, and names them.
func (c *capture) awaitRuns(from time.Time) map[string]string {
	names := wanted(c.T)
	runs, err := harness.Await(c.ctx, "the runs", func(context.Context) (map[string]string, error) {
		ended := map[string]any{"status": []string{"COMPLETED", "FAILED", "CANCELLED"}}
		_, answer := query(c.T, c.server, runList, listVariables(from, ended))
		found := map[string]string{}
		for _, node := range foundRuns(answer, "") {
			run := node.(map[string]any)
			name := run["function"].(map[string]any)["slug"].(string)
			for n := 2; found[name] != ""; n++ {
				name = fmt.Sprintf("%v-%d", run["function"].(map[string]any)["slug"], n)
			}
			found[name] = run["id"].(string)
		}
		delete(found, secondTick)
		got := slices.Sorted(maps.Keys(found))
		if !slices.Equal(got, slices.Sorted(slices.Values(names))) {
			return nil, fmt.Errorf("there are %v", got)
		}
		return found, nil
	})
	require.NoError(c, err)
	return runs
}

// listVariables are those of a query of runs since then, with further filters.
func listVariables(from time.Time, filters map[string]any) map[string]any {
	f := map[string]any{"from": from.Add(-time.Minute).UTC().Format(time.RFC3339)}
	maps.Copy(f, filters)
	return map[string]any{"f": f, "o": []any{map[string]any{"field": "QUEUED_AT", "direction": "DESC"}}, "n": 100, "p": true}
}

// requireLists compares each captured list as a set: when two runs were queued
// is not to be compared.
func (p *parity) requireLists(t *testing.T) {
	for name, g := range goldens(t, "gql-runs") {
		if name == "gql-runs-page1" || name == "gql-runs-page2" || name == "gql-runs-cel-event-custom-id" {
			continue // their runs depend on the order, or are missed
		}
		t.Run(name, func(t *testing.T) {
			captured := g.Variables["f"].(map[string]any)
			filters := maps.Clone(captured)
			delete(filters, "from")
			delete(filters, "until")
			variables := listVariables(p.from, filters)
			variables["p"] = g.Variables["p"]
			_, answer := query(t, p.server, g.Query, variables)
			if strings.Contains(name, "-cel-") { // times and events of such a run are those of whichever row matched
				require.ElementsMatch(t, foundRuns(masked(g.Response), "function"), foundRuns(masked(answer), "function"))
				return
			}
			require.Equal(t, comparableRuns(g.Response), comparableRuns(answer))
		})
	}
}

// comparableRuns are masked runs in an order of their own.
func comparableRuns(answer any) []string {
	var all []string
	for _, node := range foundRuns(answer, "") {
		run := masked(node).(map[string]any)
		run["output"] = plainOutput(run["output"])
		if text := asText(run); !strings.Contains(text, "fixture-worker") {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return slices.CompactFunc(all, func(a, b string) bool { return a == b && strings.Contains(a, "every-minute") })
}

// plainOutput is what a function returned. The older list of the original has
// what the SDK answered instead.
func plainOutput(output any) any {
	switch v := output.(type) {
	case []any:
		if op, ok := v[0].(map[string]any); ok && op["op"] == "RunComplete" {
			return op["data"]
		}
	case string:
		var value any
		if json.Unmarshal([]byte(v), &value) == nil {
			return value
		}
	}
	return output
}

func asText(value any) string {
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		panic(err) // came from JSON
	}
	return string(text)
}

func (p *parity) requireTraces(t *testing.T) {
	for _, name := range wanted(t) {
		t.Run(name, func(t *testing.T) {
			g := goldens(t, "gql-trace-"+name)["gql-trace-"+name]
			_, answer := query(t, p.server, g.Query, map[string]any{"r": p.runs[name]})
			require.Equal(t, comparableTrace(name, g.Response), comparableTrace(name, answer))
		})
	}
}

// comparableTrace is a masked trace. Of steps in parallel it is not said which
// comes first.
func comparableTrace(name string, answer any) string {
	all := masked(answer).(map[string]any)
	run, _ := all["data"].(map[string]any)["run"].(map[string]any)
	if trace, ok := run["trace"].(map[string]any); ok && strings.Contains(name, "parallel") {
		slices.SortFunc(trace["childrenSpans"].([]any), func(a, b any) int { return cmp.Compare(asText(a), asText(b)) })
	}
	return asText(all)
}

// requireOlderTraces compares the other shape, which was not captured for these
// runs, with that of the captured rows.
func (p *parity) requireOlderTraces(t *testing.T) {
	reference := serve(t, "--sqlite-dir", capturedSQLite(t))
	for _, name := range wanted(t) {
		if strings.Contains(name, "cancellable") {
			continue // a sleep is over by the clock, which it is for the captured run only
		}
		t.Run(name, func(t *testing.T) {
			g := goldens(t, "gql-trace-"+name)["gql-trace-"+name]
			document := strings.ReplaceAll(g.Query, "preview:true", "preview:false")
			require.NotEqual(t, g.Query, document)
			_, want := query(t, reference, document, g.Variables)
			_, got := query(t, p.server, document, map[string]any{"r": p.runs[name]})
			require.Equal(t, comparableTrace(name, want), comparableTrace(name, got))
		})
	}
}

func (p *parity) requireTriggers(t *testing.T) {
	for name, g := range goldens(t, "gql-trigger-") {
		run := p.runs[strings.TrimPrefix(name, "gql-trigger-")]
		if run == "" {
			continue // of the worker
		}
		t.Run(name, func(t *testing.T) {
			_, answer := query(t, p.server, g.Query, map[string]any{"r": run})
			require.Equal(t, asText(masked(g.Response)), asText(masked(answer)))
		})
	}
}

// requireOutputs reads what each span of some traces has as output.
func (p *parity) requireOutputs(t *testing.T) {
	for name := range p.runs {
		file := fixture + "expected/outputs-" + name + ".json"
		want, ok := readOutputs(t, file)
		if !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			g := goldens(t, "gql-trace-"+name)["gql-trace-"+name]
			_, answer := query(t, p.server, g.Query, map[string]any{"r": p.runs[name]})
			got := map[string]any{}
			p.collectOutputs(t, answer.(map[string]any)["data"].(map[string]any)["run"].(map[string]any)["trace"].(map[string]any), got)
			require.Equal(t, asText(want), asText(got))
		})
	}
}

const outputOf = `query($id: String!){runTraceSpanOutputByID(outputID:$id){input data error{message name stack cause}}}`

// collectOutputs asks for the outputs of a span and those below it.
func (p *parity) collectOutputs(t *testing.T, span map[string]any, outputs map[string]any) {
	if id, ok := span["outputID"].(string); ok {
		_, answer := query(t, p.server, outputOf, map[string]any{"id": id})
		outputs[span["name"].(string)] = masked(answer.(map[string]any)["data"].(map[string]any)["runTraceSpanOutputByID"])
	}
	children, _ := span["childrenSpans"].([]any)
	for _, child := range children {
		p.collectOutputs(t, child.(map[string]any), outputs)
	}
}

func (p *parity) requireEvents(t *testing.T) {
	g := goldens(t, "gql-events")["gql-events"]
	_, answer := query(t, p.server, g.Query, map[string]any{"f": map[string]any{
		"from": p.from.Add(-time.Minute).UTC().Format(time.RFC3339), "includeInternalEvents": false,
	}})
	require.Equal(t, comparableEvents(g.Response), comparableEvents(answer))
}

func comparableEvents(answer any) []string {
	var all []string
	for _, edge := range answer.(map[string]any)["data"].(map[string]any)["eventsV2"].(map[string]any)["edges"].([]any) {
		node := edge.(map[string]any)["node"].(map[string]any)
		runs := node["runs"].([]any)
		slices.SortFunc(runs, func(a, b any) int { return cmp.Compare(asText(masked(a)), asText(masked(b))) })
		if text := asText(masked(node)); !strings.Contains(text, "cap/") {
			all = append(all, text)
		}
	}
	slices.Sort(all)
	return all
}

// requireREST asks by REST about the same runs and events.
func (p *parity) requireREST(t *testing.T) {
	const captured = "01M8AFYQRBJYS7G4394TAY6VKP"
	for name, g := range goldens(t, "rest-") {
		path, ok := strings.CutPrefix(g.Request, "GET ")
		require.True(t, ok)
		if !strings.Contains(path, captured) {
			continue // is about the whole database
		}
		t.Run(name, func(t *testing.T) {
			path := strings.Replace(path, captured, p.runs["fixture-app-two-steps"], 1)
			status, answer := request(t, p.server, "GET", path, nil)
			require.Equal(t, g.Status, status)
			require.Equal(t, asText(masked(withoutClock(betterREST(name, g.Response)))), asText(masked(withoutClock(answer))))
		})
	}
}
