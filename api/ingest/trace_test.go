package ingest

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestIsTraceparent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		traceparent: true,
		"":          false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more": false,
		"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":      false,
		"00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01":      false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01":      false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01":      false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333\"-01":     false,
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\"":     false,
		"00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01":      false,
	} {
		require.Equal(t, want, isTraceparent(text), text)
	}
}

// TestTraceparentOfARequest: each of its events says in which span it was sent.
func TestTraceparentOfARequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ header, body, meta string }{
		"alone":    {traceparent, `{"name":"a"}`, `{"traceparent":"` + traceparent + `"}`},
		"sessions": {traceparent, `{"name":"a","meta":{"sessions":{"k":"v"}}}`, `{"sessions":{"k":"v"},"traceparent":"` + traceparent + `"}`},
		"none":     {"", `{"name":"a"}`, ""},
		"no span":  {"junk", `{"name":"a","meta":{"sessions":{"k":"v"}}}`, `{"sessions":{"k":"v"}}`},
		"forged":   {"", `{"name":"a","meta":{"traceparent":"` + traceparent + `"}}`, ""},
	} {
		p := &store{}
		in, err := New(Config{Publisher: p, Keys: AnyKey()})
		require.NoError(t, err)
		answer := in.Accept(t.Context(), []byte(test.body), Request{Traceparent: test.header})
		require.Equal(t, http.StatusOK, answer.Status, name)
		var stored struct{ Meta json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(p.events[0]), &stored), name)
		require.Equal(t, test.meta, string(stored.Meta), name)
	}
}
