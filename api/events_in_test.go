package api

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const seed = "X-Inngest-Event-Id-Seed: 1743130137367,eii2YKXRVTJPuA=="

func TestReceiveEvents(t *testing.T) {
	t.Parallel()
	many := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, n), ",") + "]" }
	tests := map[string]struct {
		body   string
		header []string
		status int
		want   string
		stored int
	}{
		"one":              {`{"name":"a"}`, []string{seed}, 200, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, 1},
		"text/plain":       {`{"name":"a"}`, []string{seed, "Content-Type: text/plain"}, 200, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, 1},
		"lower-case seed":  {`{"name":"a"}`, []string{strings.ToLower(seed[:23]) + seed[23:]}, 200, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":200}`, 1},
		"empty":            {``, nil, 200, `{"ids":[],"status":200}`, 0},
		"form":             {`name=a`, []string{"Content-Type: application/x-www-form-urlencoded"}, 400, `{"ids":[""],"status":400,"error":"json: cannot unmarshal array into Go struct field raw.name of type string"}`, 0},
		"in part":          {`[{"name":"a"},{"name":"inngest/b"}]`, []string{seed}, 400, `{"ids":["01JQDAE4RQF8MBCR55T5AK4KXS"],"status":400,"error":"event name is reserved for internal use: inngest/b"}`, 1},
		"not events":       {`7`, nil, 400, `{"ids":[""],"status":400,"error":"Request body must contain an event object or an array of event objects"}`, 0},
		"5000 fit":         {many(5000), nil, 200, "", 5000},
		"5001 do not":      {many(5001), nil, 400, "", 5000},
		"compressed means": {"\x1f\x8b", []string{"Content-Encoding: gzip"}, 400, `{"ids":[""],"status":400,"error":"Request body must contain an event object or an array of event objects"}`, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(t, "POST", "/e/any", test.body, test.header...)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			if test.want != "" {
				require.Equal(t, test.want+"\n", w.Body.String())
			}
			require.Len(t, f.published.events, test.stored)
		})
	}
}

func TestEventsThatAreNotStored(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.published.err = errors.New("no leader")
	w := f.do(t, "POST", "/e/any", `{"name":"a"}`)
	require.Equal(t, 503, w.Code)
	require.Equal(t, `{"ids":[],"status":503,"error":"Events could not be stored, please try again"}`+"\n", w.Body.String())
}

func TestEventKeys(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	w := f.do(t, "POST", "/e/wrong", `{"name":"a"}`)
	require.Equal(t, 401, w.Code)
	require.Equal(t, `{"status":401,"message":"","error":"Event key not found"}`+"\n", w.Body.String())
	require.Equal(t, 401, f.do(t, "POST", "/e/wrong", `{"name":"a"}`, "Authorization: Bearer "+testKey).Code)
	require.Empty(t, f.published.events)
	require.Equal(t, 200, f.do(t, "POST", "/e/event-key", `{"name":"a"}`).Code)
	require.Equal(t, 200, f.do(t, "POST", "/e/event%2dkey", `{"name":"a"}`).Code, "a path segment is decoded")
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t, inStart)
	w := f.do(t, "POST", "/invoke/app-fn", `{}`, seed)
	require.Equal(t, 401, w.Code)
	auth := "Authorization: Bearer " + testKey
	w = f.do(t, "POST", "/invoke/app-fn", `{"data":{"a":1}}`, seed, auth)
	require.Equal(t, 200, w.Code)
	require.Equal(t, `{"id":"01JQDAE4RQF8MBCR55T5AK4KXR","status":200}`+"\n", w.Body.String())
	require.Contains(t, f.published.events[0], `"fn_id":"app-fn"`)

	for path, slug := range map[string]string{"a+b": "a b", "a%20b": "a b", "a%2Bb": "a+b", "a%2Fb": "a/b", "a%25zz": "a%zz", "%C3%A9": "é"} {
		f.published.events = nil
		require.Equal(t, 200, f.do(t, "POST", "/invoke/"+path, `{}`, auth).Code)
		require.Contains(t, f.published.events[0], `"fn_id":"`+slug+`"`)
	}

	for body, want := range map[string]string{
		"": "Unable to read post data request", "[]": "Unable to read post data request", `{"ts":1}`: "Invalid invocation event",
	} {
		w = f.do(t, "POST", "/invoke/x", body, auth)
		require.Equal(t, 400, w.Code)
		require.Equal(t, `{"error":"`+want+`","data":null,"status":400}`+"\n", w.Body.String())
	}

	w = f.do(t, "POST", "/invoke/x", strings.Repeat(" ", maxInvocation+1), auth)
	require.Equal(t, 413, w.Code)
	f.published.err = errors.New("no leader")
	w = f.do(t, "POST", "/invoke/x", `{}`, auth)
	require.Equal(t, 500, w.Code)
	require.Equal(t, `{"error":"Unable to create invocation event: it could not be stored","data":null,"status":500}`+"\n", w.Body.String())
}
