package expr

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"
)

type evalCase struct {
	ID        string
	Note      string
	Expr      string
	Event     map[string]any
	Async     map[string]any
	Result    json.RawMessage
	Type      string
	Text      *string
	Error     string
	BoolError string `json:"bool_error"`
}

func (c evalCase) vars() map[string]any {
	vars := map[string]any{}
	if c.Event != nil {
		vars["event"] = c.Event
	}
	if c.Async != nil {
		vars["async"] = c.Async
	}
	return vars
}

func TestEvalMatchesReference(t *testing.T) {
	t.Parallel()
	var cases []evalCase
	readFixture(t, "expressions.json", &cases)
	require.Len(t, cases, 308)
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			result, err := Eval(c.Expr, c.vars())
			if c.Error != "" {
				require.EqualError(t, err, c.Error, c.Expr)
				return
			}
			require.NoError(t, err, c.Expr)
			require.Equal(t, c.Type, strings.TrimSuffix(result.Type(), "_type"), c.Expr)
			require.JSONEq(t, string(c.Result), asJSON(t, result), c.Expr)
			if c.Text != nil {
				require.Equal(t, *c.Text, result.Text())
			}
			if c.BoolError != "" {
				_, err := EvalBool(c.Expr, c.vars())
				require.EqualError(t, err, c.BoolError)
			}
		})
	}
}

func asJSON(t *testing.T, r Result) string {
	t.Helper()
	if r.Type() == types.IntType.TypeName() {
		n, _ := r.Int()
		data, err := json.Marshal(n)
		require.NoError(t, err)
		return string(data)
	}
	v, err := r.value.ConvertToNative(reflect.TypeFor[*structpb.Value]())
	require.NoError(t, err)
	data, err := v.(*structpb.Value).MarshalJSON()
	require.NoError(t, err)
	return string(data)
}
