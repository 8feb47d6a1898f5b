package function

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEndpointRequest(t *testing.T) {
	t.Parallel()
	// Captured, sdk-protocol §19.1.
	r, err := ParseEndpointRequest(json.RawMessage(`{"content_type":"","domain":"http://127.0.0.1:18101","ip":"","method":"GET","path":"/simple","query_params":"x=1","body":"","fn":""}`))
	require.NoError(t, err)
	require.Equal(t, "GET /simple", r.Slug())
	require.Equal(t, "958ba392-69fa-5aa6-8e2a-498b003aa6e9", r.AppID().String())
	at, err := r.URL()
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:18101/simple?x=1", at)
	fn := r.Function(3)
	config, err := json.Marshal(fn)
	require.NoError(t, err)
	require.Equal(t, `{"cv":1,"id":"c93b3aec-66cc-5d8d-8308-60d660db71cd","fv":1,"name":"GET /simple","slug":"GET /simple","triggers":null,`+
		`"steps":[{"id":"step","name":"GET /simple","uri":"http://127.0.0.1:18101","retries":3}],`+
		`"driver":{"uri":"http://127.0.0.1:18101","metadata":{"method":"GET","type":"sync"}}}`, string(config))
	require.Equal(t, 3, fn.Retries())
}

func TestEndpointURLs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		r    EndpointRequest
		want string
	}{
		"escaped":     {EndpointRequest{Domain: "https://shop.example", Path: "/a%20b/%C3%BC"}, "https://shop.example/a%20b/%C3%BC"},
		"not escaped": {EndpointRequest{Domain: "https://shop.example", Path: "/a b/ü"}, "https://shop.example/a%20b/%C3%BC"},
		"a percent":   {EndpointRequest{Domain: "https://shop.example", Path: "/100%"}, "https://shop.example/100%25"},
		"a slash":     {EndpointRequest{Domain: "https://shop.example", Path: "/a%2Fb"}, "https://shop.example/a%2Fb"},
		"no path":     {EndpointRequest{Domain: "http://localhost:3000", QueryParams: "a=1&b=%20"}, "http://localhost:3000?a=1&b=%20"},
	} {
		got, err := c.r.URL()
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
	named := EndpointRequest{Fn: "checkout", Method: "POST", Path: "/pay"}
	require.Equal(t, "checkout", named.Slug())
}

func TestWhatIsNoEndpointRequest(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		``, `[]`, `{}`, `{"domain":1,"method":"GET"}`, `{"domain":"shop.example","method":"GET"}`, `{"domain":"ftp://shop.example","method":"GET"}`,
		`{"domain":"http://","method":"GET"}`, `{"domain":"http://shop.example"}`, `{"domain":"http://[::1","method":"GET"}`,
	} {
		_, err := ParseEndpointRequest(json.RawMessage(data))
		require.ErrorIs(t, err, ErrEndpointRequest, data)
	}
	_, err := (&EndpointRequest{Domain: ":"}).URL()
	require.ErrorIs(t, err, ErrEndpointRequest)
}

func TestEndpointRetries(t *testing.T) {
	t.Parallel()
	for sent, want := range map[int]int{0: 0, 3: 3, 20: 20, 21: 20, -1: DefaultRetries} {
		require.Equal(t, want, EndpointRetries(&sent))
	}
	require.Zero(t, EndpointRetries(nil))
}
