package api_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// request sends a body with the target's key and returns the answer. A failure
// of the server fails the test.
func (to target) request(t *testing.T, method, address, kind string, body []byte) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	require.NoError(t, err)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if to.key != "" {
		req.Header.Set("Authorization", "Bearer "+to.key)
	}
	resp, err := client.Do(req)
	require.NoError(t, err, "%s %s", method, address)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	shown := string(text)
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented {
		assert.Fail(t, "the server failed", "%s %.200s\nbody %.200q\nanswered %d %s\n%s", method, address, body, resp.StatusCode, shown, to.Log().Tail(5))
	}
	return resp.StatusCode, shown
}

// refused requires a refusal that says something.
func refused(t *testing.T, status int, answer string, what ...any) {
	t.Helper()
	assert.True(t, status >= 400 && status < 500 || status == http.StatusNotImplemented, "%d %s %v", status, answer, what)
	assert.NotEmpty(t, strings.TrimSpace(answer), what)
}

// goesOn requires that the server answers and has not been restarted.
func (to target) goesOn(t *testing.T) {
	t.Helper()
	require.NoError(t, to.Exited())
	require.NoError(t, to.Client().Health(t.Context()))
}

// each runs a test against each server.
func each(t *testing.T, test func(t *testing.T, to target)) {
	t.Helper()
	for name, to := range targets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, to)
			to.goesOn(t)
		})
	}
}

// bodies are what no route with JSON wants.
func bodies(t *testing.T) map[string][]byte {
	var packed bytes.Buffer
	pack := gzip.NewWriter(&packed)
	_, err := pack.Write([]byte(`{}`))
	require.NoError(t, err)
	require.NoError(t, pack.Close())
	return map[string][]byte{
		"empty":       {},
		"text":        []byte(`hello`),
		"cut off":     []byte(`{"a":`),
		"a string":    []byte(`"text"`),
		"a number":    []byte(`7`),
		"null":        []byte(`null`),
		"strings":     []byte(`["a","b"]`),
		"two values":  []byte(`{} {}`),
		"a form":      []byte(`a=b&c=%zz`),
		"packed":      packed.Bytes(),
		"zero bytes":  {0, 0, 0, 0},
		"deep list":   []byte(strings.Repeat("[", 200_000)),
		"deep object": []byte(strings.Repeat(`{"a":`, 200_000)),
		"huge number": []byte(`{"ts":1e999999,"limit":1e999999,"data":{"a":1e999999}}`),
		"wrong types": []byte(`{"name":[],"data":7,"url":{},"functions":"x","query":{},"signal":[],"steps":"x","metadata":"x","app_id":[],"jsonrpc":2,"fromStep":1,"event":1,"run_id":1,"target":1,"status":1,"resourceSpans":"x"}`),
		"zero in names": []byte(`{"name":"\u0000","data":{"\u0000":"\u0000"},"url":"http://\u0000","appName":"\u0000","query":"{\u0000}","signal":"\u0000","app_id":"\u0000","function_id":"\u0000",` +
			`"run_id":"\u0000","steps":[{"id":"\u0000","op":"\u0000"}],"metadata":[{"kind":"\u0000","op":"merge","values":{}}],"method":"\u0000"}`),
		"no unicode": []byte("{\"name\":\"\xff\xfe\",\"signal\":\"\xff\",\"appName\":\"\xff\",\"query\":\"\xff\",\"data\":\"\xff\"}"),
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		nonsense := bodies(t)
		for i := range routes {
			r := &routes[i]
			if r.kind == "" {
				continue
			}
			for name, body := range nonsense {
				status, answer := to.request(t, r.method, to.path(r), r.kind, body)
				if !has(r.takes, name) {
					refused(t, status, answer, r.method, r.pattern, name)
				}
			}
		}
	})
}

// TestContentTypes sends right bodies as something else: what is no JSON by its
// name alone is read, refused, or looked into, but breaks nothing.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for i := range routes {
			r := &routes[i]
			for _, kind := range []string{"text/plain", "multipart/form-data", "multipart/form-data; boundary=x", "application/x-protobuf", "text/stream", ";;;", "application/json; charset"} {
				if r.kind != "" {
					to.request(t, r.method, to.path(r), kind, []byte(r.right))
				}
			}
		}
	})
}

// TestTooLargeBodies are one byte too large, of a kind that is refused for
// nothing else.
func TestTooLargeBodies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for i := range routes {
			r := &routes[i]
			if r.limit == 0 {
				continue
			}
			body := append([]byte(r.right), bytes.Repeat([]byte(" "), r.limit+1-len(r.right))...)
			status, answer := to.request(t, r.method, to.path(r), r.kind, body)
			require.Equal(t, http.StatusRequestEntityTooLarge, status, "%s %s: %s", r.method, r.pattern, answer)
			require.NotEmpty(t, answer)
		}
		large := `{"name":"a","data":{"a":"` + strings.Repeat("x", 3<<20) + `"}}`
		status, answer := to.request(t, http.MethodPost, to.URL()+"/e/"+to.eventKey, jsonBody, []byte(large))
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, answer, "Event is over the max size")
	})
}

// words are values of parameters, escaped, that nothing has.
var words = []string{
	"x", "-1", "%00", "01M8AFNA89V4FR54NKFFTV1PN%00", "%27%20OR%20%271%27%3D%271", "%27%3B%20DROP%20TABLE%20spans%3B--", "..%2F..%2Fetc%2Fpasswd",
	"%F0%9F%98%80", "%FF%FE", "%25", "%7B%7D", "event.data.matches('(a%2B)%2B$')", "null", "%2F", strings.Repeat("a", 4000), "%E2%80%AE",
}

func TestPathParameters(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for i := range routes {
			r := &routes[i]
			for _, wrong := range strings.Split(r.pattern, "/:")[1:] {
				wrong, _, _ = strings.Cut(wrong, "/")
				if wrong == "key" && to.key == "" {
					continue // any event key is right in dev mode
				}
				for _, word := range words {
					path := fill(r.pattern, func(name string) string {
						if name == wrong {
							return word
						}
						return to.nobody(name)
					})
					status, answer := to.request(t, r.method, to.URL()+path, r.kind, []byte(r.right))
					if !has(r.free, wrong) {
						refused(t, status, answer, r.method, path)
					}
				}
			}
		}
	})
}

// numbers are nonsense where a number, a time or a cursor is wanted, too.
var numbers = []string{
	"999999999999999999999", "1e9", "NaN", "0x10", "2026-13-45T99:99:99Z", "eyJpZCI6IngifQ==", "eyJpZCI6IjAxTThBRk5BODlWNEZSNTROS0ZGVFYxUE5LIiwiYyI6eyJzdGFydF90aW1lIjp7ImYiOiJ4OyBEUk9QIiwidiI6MX19fQ==",
	"251", "-9223372036854775809",
}

// strict are parameters of which nonsense is refused; of the others it means
// nothing, or is passed over as in the original.
var strict = map[string]string{
	"/v1/events": "cursor,received_after,received_before",
	"/v2/apps":   "limit,cursor,archived", "/v2/apps/:app/functions": "limit,cursor", "/v2/envs": "limit", "/v2/keys/signing": "limit",
	"/v2/runs":               "limit,cursor,from,until,timeField,status,order,isDeferred,includeOutput",
	"/v2/events/:event/runs": "limit,cursor,includeOutput",
}

func TestQueries(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for i := range routes {
			r := &routes[i]
			if r.queries == "" {
				continue
			}
			base := to.URL() + fill(r.pattern, to.nobody)
			for name := range strings.SplitSeq(r.queries, ",") {
				for _, word := range append(numbers, words...) {
					query := name + "=" + url.QueryEscape(word)
					if strings.Contains(word, "%") {
						query = name + "=" + word
					}
					status, answer := to.request(t, r.method, base+"?"+query, r.kind, []byte(r.right))
					if has(strict[r.pattern], name) {
						refused(t, status, answer, r.pattern, query)
					}
				}
			}
		}
	})
}

func TestWrongMethods(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, to target) {
		for i := range routes {
			r := &routes[i]
			known := methods(r.pattern)
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "BREW"} {
				if known[method] {
					continue
				}
				status, _ := to.request(t, method, to.path(r), "", nil)
				want := http.StatusMethodNotAllowed
				if strings.HasPrefix(r.pattern, "/v2/") && r.pattern != "/v2/operations" && method != "BREW" {
					want = http.StatusNotImplemented // http-api §14
				}
				require.Equal(t, want, status, "%s %s", method, r.pattern)
			}
		}
	})
}

// TestKeys asks each route that needs a key with none and with wrong ones.
func TestKeys(t *testing.T) {
	t.Parallel()
	to := targets(t)["start with PostgreSQL"]
	for i := range routes {
		r := &routes[i]
		for _, key := range []string{"", strings.Repeat("f", 32), signingKey + "00", "\xff", strings.Repeat("a", 10_000)} {
			stranger := target{Server: to.Server, key: key, eventKey: to.eventKey}
			status, answer := stranger.request(t, r.method, to.path(r), r.kind, []byte(r.right))
			if !r.open {
				require.Equal(t, http.StatusUnauthorized, status, "%s %s: %s", r.method, r.pattern, answer)
			}
		}
	}
	to.goesOn(t)
}
