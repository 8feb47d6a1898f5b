package api

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// lostMessages is a realtime.Broker that nobody is subscribed to.
type lostMessages struct{}

func (lostMessages) PublishRealtime(string, []byte) error { return nil }

func (lostMessages) SubscribeRealtime(string, func([]byte)) (func(), error) { return func() {}, nil }

func (lostMessages) FlushRealtime(context.Context) error { return nil }

// realtimeToken asks for a token with the signing key.
func realtimeToken(t *testing.T, f *fixture) string {
	t.Helper()
	w := f.do(t, "POST", "/v1/realtime/token", `[{"kind":"run","channel":"c","name":"n"}]`, "Authorization: Bearer "+testKey)
	require.Equal(t, 201, w.Code)
	var answer struct {
		JWT string `json:"jwt"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer.JWT
}

// TestRealtimeRoutes only shows that requests get where they belong, with the
// headers of all answers; the rest is tested where it is.
func TestRealtimeRoutes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	token := realtimeToken(t, f)
	w := f.do(t, "POST", "/v1/realtime/publish?channel=c&topic=n", "1", "Authorization: Bearer "+testKey)
	require.Equal(t, 200, w.Code)
	require.Equal(t, "cloud", w.Header().Get("X-Inngest-Server-Kind"))
	w = f.do(t, "POST", "/v1/realtime/publish/tee?channel=c", "1", "Authorization: Bearer "+token)
	require.Equal(t, 401, w.Code)
	require.Equal(t, "Not authenticated for publishing\n", w.Body.String())
	require.Equal(t, 426, f.do(t, "GET", "/v1/realtime/connect?token="+token, "").Code, "no websocket")

	// A stream ends when its client goes.
	ctx, leave := context.WithCancel(t.Context())
	leave()
	w = httptest.NewRecorder()
	f.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/realtime/sse?token="+token, nil))
	require.Equal(t, 200, w.Code)
	require.Equal(t, []string{"*"}, w.Header()["Access-Control-Allow-Origin"], "for all origins, whatever the general rule says")
}
