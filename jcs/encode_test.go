package jcs

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	canonical := json.RawMessage(`{"a":"<b> & \u2028","n":1e+21}`)
	got, err := Encode(struct {
		Z json.RawMessage `json:"z"`
		A string          `json:"a"`
	}{canonical, "<&>"})
	require.NoError(t, err)
	require.Equal(t, `{"z":`+string(canonical)+`,"a":"<&>"}`, string(got))
	_, err = Encode(func() {})
	require.Error(t, err)
}
