package driver

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseResult(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data, stored, content string
	}{
		"TypeScript": {`{"status":200,"headers":{"content-type":"application/json"},"body":"null","version":2}`,
			`{"body":"null","duration":0,"headers":{"content-type":"application/json"},"status":200}`, "null"},
		"wrapped": {`{"data":{"status":201,"headers":{},"body":"hi","duration":5}}`,
			`{"body":"hi","duration":5,"headers":{},"status":201}`, "hi"},
		"Go": {`{"data":{"status_code":404,"headers":{"X-A":"b"},"body":"aGk=","duration":1500000}}`,
			`{"body":"hi","duration":1500000,"headers":{"X-A":"b"},"status":404}`, "hi"},
		"Go, without a body": {`{"data":{"status_code":204,"headers":null,"duration":1}}`,
			`{"body":"","duration":1,"headers":{},"status":204}`, ""},
		"Go, no text": {`{"data":{"status_code":200,"body":"//79","duration":1}}`,
			`{"body":"//79","duration":1,"encoding":"base64","headers":{},"status":200}`, "\xff\xfe\xfd"},
		"as it is stored": {`{"body":"//79","duration":1,"encoding":"base64","headers":{},"status":200}`,
			`{"body":"//79","duration":1,"encoding":"base64","headers":{},"status":200}`, "\xff\xfe\xfd"},
	} {
		r, ok := ParseResult(json.RawMessage(c.data))
		require.True(t, ok, name)
		require.Equal(t, c.stored, string(r.JSON()), name)
		require.Equal(t, c.content, string(r.Content()), name)
	}
	for _, data := range []string{``, `null`, `"x"`, `[]`, `{}`, `{"data":1}`, `{"data":{}}`, `{"status":"ok"}`} {
		_, ok := ParseResult(json.RawMessage(data))
		require.False(t, ok, data)
	}
}

func TestResultsThatCountAsFailed(t *testing.T) {
	t.Parallel()
	require.Nil(t, (&Result{Status: 204}).Err())
	require.Equal(t, "invalid status code: 302", (&Result{Status: 302}).Err().Error)
	require.Equal(t, `{"body":"","duration":0,"headers":{},"status":7}`, string(Result{Status: 7}.JSON()))
	broken := Result{Body: "no base64!", Encoding: "base64"}
	require.Equal(t, "no base64!", string(broken.Content()))
}

func TestResultOfAnAnswer(t *testing.T) {
	t.Parallel()
	r := resultOf(Answer{Status: 200, Header: http.Header{"Content-Type": {"text/plain"}, "Set-Cookie": {"a"}}, Body: []byte("hi")})
	require.Equal(t, Result{Status: 200, Headers: map[string]string{"content-type": "text/plain"}, Body: "hi"}, r)
}
