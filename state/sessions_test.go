package state

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResolveMeta(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		`{}`:                                ``,
		`{"sessions":{"a":"1","b":2}}`:      `{"sessions":{"a":"1","b":"2"}}`,
		`{"propagated_sessions":{"a":"1"}}`: `{"sessions":{"a":"1"}}`,
		`{"sessions":{"a":"own","c":null},"propagated_sessions":{"a":"1","b":"2","c":"3"}}`: `{"sessions":{"a":"own","b":"2"}}`,
		`{"sessions":null,"propagated_sessions":{"a":"1"}}`:                                 ``,
	} {
		got, err := ResolveMeta([]byte(sent))
		require.NoError(t, err, sent)
		require.Equal(t, want, string(got), sent)
	}
	for _, sent := range []string{`[]`, `{"sessions":[]}`, `{"sessions":{"":"1"}}`, `{"sessions":{"a":true}}`, `{"propagated_sessions":{"a":""}}`} {
		_, err := ResolveMeta([]byte(sent))
		require.Error(t, err, sent)
	}
}
