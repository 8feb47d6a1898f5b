package script_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"jetstep/compat/redis/redistest"
	"jetstep/compat/redis/script"
)

func TestMain(m *testing.M) { redistest.Main(m) }

var (
	// set answers 0 when there was nothing, else what there was.
	set = script.New(`
local before = redis.call('GET', KEYS[1])
if before then
  return before
end
redis.call('SET', KEYS[1], ARGV[1])
return 0`)
	// code answers with its argument.
	code = script.New(`return tonumber(ARGV[1])`)
	// list answers with its keys and arguments.
	list = script.New(`
local function both(a, b)
  local all = {}
  for _, part in ipairs({a, b}) do
    for _, one in ipairs(part) do
      all[#all + 1] = one
    end
  end
  return all
end
return both(KEYS, ARGV)`)
	// nothing answers with nothing.
	nothing = script.New(`return false`)
)

func always(o script.Operation) script.Operation {
	o.Always = true
	return o
}

// TestChain: operations are done in order, up to the first that does not succeed.
func TestChain(t *testing.T) {
	t.Parallel()
	lists := list.On([]string{"{a}k", "{b}k"}, "x", 1)
	for name, c := range map[string]struct {
		operations []script.Operation
		answers    []any
		done       bool
	}{
		"one":                   {[]script.Operation{code.On(nil, 0)}, []any{int64(0)}, true},
		"one that stops":        {[]script.Operation{code.On(nil, 3)}, []any{int64(3)}, false},
		"one without an answer": {[]script.Operation{nothing.On(nil)}, []any{nil}, false},
		"all": {
			[]script.Operation{code.On(nil, 0), lists, set.On([]string{"k"}, "v"), lists},
			[]any{int64(0), []any{"{a}k", "{b}k", "x", "1"}, int64(0), []any{"{a}k", "{b}k", "x", "1"}}, true,
		},
		"up to a number": {[]script.Operation{lists, code.On(nil, 2), set.On([]string{"k"}, "v")}, []any{[]any{"{a}k", "{b}k", "x", "1"}, int64(2)}, false},
		"up to a text":   {[]script.Operation{set.On([]string{"k"}, "v"), set.On([]string{"k"}, "w"), lists}, []any{int64(0), "v"}, false},
		"up to nothing":  {[]script.Operation{nothing.On(nil), lists}, []any{nil}, false},
		"whatever is answered": {
			[]script.Operation{always(code.On(nil, 2)), always(set.On([]string{"k"}, "v")), always(set.On([]string{"k"}, "w")), always(code.On(nil, 1))},
			[]any{int64(2), int64(0), "v", int64(1)}, true,
		},
		"the last stops": {[]script.Operation{lists, code.On(nil, 1)}, []any{[]any{"{a}k", "{b}k", "x", "1"}, int64(1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := redistest.Open(t)
			chain := script.NewChain(client, list, code, set, nothing)
			answers, done, err := chain.Do(t.Context(), c.operations...)
			require.NoError(t, err)
			require.Equal(t, c.answers, answers)
			require.Equal(t, c.done, done)
		})
	}
}

// TestChainBreaks: what an operation does before one that fails stays, as in any
// script, and the error is told.
func TestChainBreaks(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	require.NoError(t, client.HSet(t.Context(), "hash", "a", "b").Err())
	chain := script.NewChain(client, set, code)
	for _, operations := range [][]script.Operation{
		{set.On([]string{"hash"}, "v")}, {code.On(nil, 0), set.On([]string{"hash"}, "v"), code.On(nil, 0)},
	} {
		_, done, err := chain.Do(t.Context(), operations...)
		require.ErrorContains(t, err, "WRONGTYPE")
		require.False(t, done)
	}
}

// answering is a hook that answers each script itself.
type answering struct {
	asked int
	err   error
}

func (a *answering) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *answering) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		a.asked++
		cmd.SetErr(a.err)
		return a.err
	}
}

func (a *answering) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// refusal is an error as a server answers it.
type refusal string

func (r refusal) Error() string { return string(r) }
func (refusal) RedisError()     {}

// TestAcross: where keys are on several servers nothing is done; a proxy that hides
// that is asked once.
func TestAcross(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	operations := []script.Operation{set.On([]string{"{a}"}, "v"), set.On([]string{"{b}"}, "w")}
	_, done, err := script.NewAcross(client, set).Do(t.Context(), operations...)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, []any{"v", "w"}, client.MGet(t.Context(), "{a}", "{b}").Val())

	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	t.Cleanup(func() { _ = cluster.Close() })
	_, done, err = script.NewAcross(cluster, set).Do(t.Context(), operations...)
	require.NoError(t, err)
	require.False(t, done)

	proxy := redis.NewClient(&redis.Options{})
	t.Cleanup(func() { _ = proxy.Close() })
	hook := &answering{err: refusal("CROSSSLOT Keys in request don't hash to the same slot")}
	proxy.AddHook(hook)
	across := script.NewAcross(proxy, set)
	for range 2 {
		_, done, err = across.Do(t.Context(), operations...)
		require.NoError(t, err)
		require.False(t, done)
	}
	require.Equal(t, 1, hook.asked)

	hook.err = errors.New("no connection")
	_, _, err = script.NewAcross(proxy, set).Do(t.Context(), operations...)
	require.ErrorIs(t, err, hook.err)
}

// TestForgotten: scripts that the server has forgotten are sent again.
func TestForgotten(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t)
	// Sources of their own: nobody else has sent them.
	one, two := script.New("return 1 -- forgotten"), script.New("return {2} -- forgotten")
	for range 2 {
		commands := script.SideBySide(t.Context(), client, one.On(nil), two.On([]string{"k"}), one.On(nil))
		require.EqualValues(t, 1, commands[0].Val())
		require.Equal(t, []any{int64(2)}, commands[1].Val())
		require.EqualValues(t, 1, commands[2].Val())
	}
	require.Empty(t, script.SideBySide(t.Context(), client))
	alone := script.SideBySide(t.Context(), client, script.New("return 3 -- forgotten").On(nil))
	require.EqualValues(t, 3, alone[0].Val())
}

// TestSource: what scripts share comes first; a file that is not there is a mistake
// of the program.
func TestSource(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"lua/a.lua": {Data: []byte("local a = 1\n")}, "lua/b.lua": {Data: []byte("return a\n")}}
	require.Equal(t, "local a = 1\nreturn a\n", script.Source(files, "a", "b"))
	require.Panics(t, func() { script.Source(files, "c") })
}
