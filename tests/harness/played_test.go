package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlayedApp(t *testing.T) {
	t.Parallel()
	app := Play(PlayedConfig{
		Name: "played", Retries: 7, Functions: map[string]map[string]any{"f": {"concurrency": 2}},
		Answer: func(_ *http.Request, function string, call *Execution) (int, any) {
			return http.StatusPartialContent, []Op{{ID: function, Op: "StepRun", Name: string(call.Steps["a"]), Data: call.Event.Data.N}}
		},
	})
	t.Cleanup(app.Close)

	server, client := newAnswers(t, map[string]string{"POST /fn/register": `{}`})
	client.SigningKey = "key"
	require.NoError(t, app.Register(t.Context(), client))
	require.Equal(t, "played:v1.0.0", server.header.Get("X-Inngest-Sdk"))
	require.Equal(t, "Bearer key", server.header.Get("Authorization"))
	var registered struct {
		Functions []struct {
			ID          string
			Concurrency int
			Triggers    []struct{ Event string }
			Steps       struct {
				Step struct {
					Retries struct{ Attempts int }
					Runtime struct{ URL string }
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(server.body), &registered))
	require.Len(t, registered.Functions, 1)
	fn := registered.Functions[0]
	require.Equal(t, "played-f", fn.ID)
	require.Equal(t, 2, fn.Concurrency)
	require.Equal(t, "played/f", fn.Triggers[0].Event)
	require.Equal(t, 7, fn.Steps.Step.Retries.Attempts)

	for body, want := range map[string]int{`{"event":{"data":{"n":3}},"steps":{"a":1}}`: http.StatusPartialContent, `{`: http.StatusBadRequest} {
		res, err := http.Post(fn.Steps.Step.Runtime.URL, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode)
		if want == http.StatusPartialContent {
			require.JSONEq(t, `[{"id":"f","op":"StepRun","name":"1","displayName":"","data":3}]`, string(answer))
		}
	}
}
