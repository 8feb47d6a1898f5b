package scalar_test

import (
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"

	"jetstep/api/graph/scalar"
)

func written(m graphql.Marshaler) string {
	var b strings.Builder
	m.MarshalGQL(&b)
	return b.String()
}

func TestULID(t *testing.T) {
	t.Parallel()
	id := ulid.MustParse("01M8AG711MS2YW8B1T87P7J6PB")
	require.Equal(t, `"01M8AG711MS2YW8B1T87P7J6PB"`, written(scalar.MarshalULID(id)))
	read, err := scalar.UnmarshalULID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, read)
	for _, bad := range []any{"bad", 5, nil, "01M8AG711MS2YW8B1T87P7J6P!"} {
		_, err := scalar.UnmarshalULID(bad)
		require.Error(t, err)
	}
}

func TestUUID(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"00000000-0000-0000-0000-000000000000"`, written(scalar.MarshalUUID(uuid.Nil)), "the nil id is no null")
	id := uuid.MustParse("1ab94682-28f9-509b-8002-4ca7eb068275")
	read, err := scalar.UnmarshalUUID(strings.ToUpper(id.String()))
	require.NoError(t, err)
	require.Equal(t, id, read)
	for _, bad := range []any{"bad", 5, nil} {
		_, err := scalar.UnmarshalUUID(bad)
		require.Error(t, err)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{"a":[1]}`, written(scalar.MarshalJSON(scalar.JSON(`{"a":[1]}`))))
	require.Equal(t, `null`, written(scalar.MarshalJSON(nil)))
	require.Equal(t, `null`, written(scalar.MarshalJSON(scalar.JSON(`{`))), "an answer stays valid whatever was stored")
	read, err := scalar.UnmarshalJSON(map[string]any{"a": 1})
	require.NoError(t, err)
	require.JSONEq(t, `{"a":1}`, string(read))
}
