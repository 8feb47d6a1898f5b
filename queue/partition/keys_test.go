package partition

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// Each expression is evaluated once, whichever limits name it, and is found by
// the hash that its limit is stored with.
func TestKeyExpressions(t *testing.T) {
	t.Parallel()
	var c function.Concurrency
	require.NoError(t, json.Unmarshal([]byte(`{"fn":[{"limit":1,"key":"event.data.run"}],"step":[
		{"limit":1,"key":"event.data.c"},{"limit":2,"key":"event.data.c","scope":"env"},{"limit":3}]}`), &c))
	fn := &function.Function{Concurrency: &c, Throttle: &function.Throttle{Key: "event.data.c"}}
	require.Equal(t, []keyExpression{
		{"event.data.c", function.Hash("event.data.c")}, {"event.data.run", function.Hash("event.data.run")},
	}, keyed(fn))
	require.Empty(t, keyed(&function.Function{Throttle: &function.Throttle{Limit: 1}}))
}

func TestComplaintsAreToldOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1)
	var c complaints
	first := s.bus.Registry().Catalog()
	require.True(t, c.first(first, "a"))
	require.False(t, c.first(first, "a"))
	require.True(t, c.first(first, "b"))
	s.register(on("fn", "e"))
	require.True(t, c.first(s.bus.Registry().Catalog(), "a"), "the configuration is another")
}
