package v2_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	v2 "jetstep/api/v2"
	"jetstep/state"
)

// attached remembers what is attached to runs.
type attached struct {
	puts []*state.MetadataPut
	err  error
}

func (a *attached) AddMetadata(_ context.Context, put *state.MetadataPut) error {
	a.puts = append(a.puts, put)
	return a.err
}

func scoresAPI(a *attached) http.Handler {
	return v2.New(v2.Config{Attach: a, Now: func() time.Time { return captured }})
}

func TestScores(t *testing.T) {
	t.Parallel()
	a := &attached{}
	status, body := ask(t, scoresAPI(a), http.MethodPost, "/v2/runs/"+noRun+"/scores",
		`[{"name":"acc","value":0.5,"experiment":{"id":"e1","variant":"v1"}},{"name":"ok","value":true,"stepId":"a"}]`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"data":[
		{"name":"acc","value":0.5,"experiment":{"id":"e1","variant":"v1"},"runId":"`+noRun+`"},
		{"name":"ok","value":true,"stepId":"a","runId":"`+noRun+`"}],"metadata":{"fetchedAt":"2026-11-25T23:20:27Z"}}`, body)
	run := ulid.MustParse(noRun)
	item := func(scope, kind, values string) state.Metadata {
		return state.Metadata{Scope: scope, Kind: kind, Op: "merge", Values: json.RawMessage(values)}
	}
	require.Equal(t, []*state.MetadataPut{
		{RunID: run, Attempt: -1, Items: []state.Metadata{
			item("run", "inngest.experiment", `{"name":"e1","variant":"v1"}`), item("run", "inngest.score", `{"acc":{"value":0.5}}`),
		}},
		{RunID: run, Attempt: -1, Step: "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8", Items: []state.Metadata{
			item("step", "inngest.score", `{"ok":{"value":true}}`),
		}},
	}, a.puts)
}

func TestScoresThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		err    error
		status int
		says   string
	}{
		"none":               {`[]`, nil, 400, "At least one score is required"},
		"too many":           {"[" + strings.Repeat(`{"name":"n","value":1},`, 100) + `{"name":"n","value":1}]`, nil, 400, "At most 100 scores are allowed"},
		"no name":            {`[{"name":"n","value":1},{"value":1}]`, nil, 400, "scores[1]: Score name is required"},
		"a name with quotes": {`[{"name":"it's","value":1}]`, nil, 400, "scores[0]: Score name is invalid"},
		"no value":           {`[{"name":"n"}]`, nil, 400, "scores[0]: Score value must be a finite number or a boolean"},
		"text for a value":   {`[{"name":"n","value":"1"}]`, nil, 400, "scores[0]: Score value must be"},
		"two targets":        {`[{"name":"n","value":1,"stepId":"a","experiment":{"id":"e","variant":"v"}}]`, nil, 400, "not both"},
		"no variant":         {`[{"name":"n","value":1,"experiment":{"id":"e"}}]`, nil, 400, "needs an id and a variant"},
		"no list":            {`{"name":"n"}`, nil, 400, ""},
		"too much":           {`[{"name":"n","value":1}]`, state.ErrRunMetadataTooLarge, 413, "validation_error"},
		"trouble":            {`[{"name":"n","value":1}]`, errors.New("secret"), 500, "Internal error"},
	} {
		status, body := ask(t, scoresAPI(&attached{err: c.err}), http.MethodPost, "/api/v2/runs/"+noRun+"/scores", c.body)
		require.Equal(t, c.status, status, "%s: %s", name, body)
		require.Contains(t, body, c.says, name)
		require.NotContains(t, body, "secret", name)
	}
	status, _ := ask(t, scoresAPI(&attached{}), http.MethodPost, "/v2/runs/x/scores", `[]`)
	require.Equal(t, 400, status)
}
