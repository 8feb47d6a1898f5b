package expr

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"
)

// Rules of expressions.md that its captured cases do not show.
func TestDialect(t *testing.T) {
	t.Parallel()
	event := decode(t, `{"data":{"n":5,"s":"x","list":[{"on":false},{},{"on":true}],"empty":{}}}`)
	cases := []struct{ text, want string }{
		// Missing values.
		{`event.data.absent.exists(x, true) == null`, "true"}, // missing itself
		{`event.data.list.exists(i, i.on)`, "true"},           // the second has none
		{`event.data.list.all(i, i.on)`, "false"},
		{`event.data.list.exists_one(i, i.on)`, "true"},
		{`event.data.list.filter(i, !has(i.on)).size()`, "1"},
		{`event.data.list.map(i, i.on)`, "[false true]"},
		{`event.data.list.exists(i, i.absent)`, "false"},
		{`event.data.list[0].absent`, "false"},
		{`event.data.s["absent"] == null`, "true"},
		{`[event.data.absent == null]`, "[true]"},
		{`event.data.s in [event.data.absent]`, "false"},
		{`event.data.absent ? 1 : 2`, "2"},
		{`event.data.absent < event.data.other`, "true"},
		{`event.data.absent > event.data.other`, "true"},
		{`frobnicate(event.data.absent, 1)`, "false"},
		{`frobnicate(event.data.absent, 1, 2)`, "false"},
		{`dyn(event.data.absent)`, "false"},
		// Operands of all types.
		{`null < null || "none"`, "none"},
		{`null < 1u`, "true"},
		{`"a" > null`, "true"},
		{`event.data.empty ? "yes" : "no"`, "yes"},
		{`0u || 0.0 || null || "" || "last"`, "last"},
		{`5u && "last"`, "last"},
		{`timestamp("2024-03-01T10:00:00Z") + "!"`, "2024-03-01 10:00:00 +0000 UTC!"},
		{`foo || "fallback"`, "fallback"},
		{`date(true) || "fallback"`, "fallback"},
		// Literals.
		{`.5 + .5`, "1"},
		{`[1, 2.5, "a"][2]`, "a"},
		{`"a//b" // a comment` + "\n" + ` + "c"`, "a//bc"},
		{`size("unclosed`, "unclosed"}, // told apart below
		{`9223372036854775808.0 > 1`, "true"},
		{`1e2 + 1E+2`, "200"},
		{`event.data.s == 'x'`, "true"},
		{`b"x"`, "false"}, // a missing path
		{`uppercase(5)`, ""},
		{`json_parse("null")`, "map[]"},
	}
	for _, c := range cases {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			got, err := EvalText(c.text, map[string]any{"event": event})
			if c.want == "unclosed" {
				require.ErrorContains(t, err, "missing ')'", "the literal takes the rest of the text")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestDialectErrors(t *testing.T) {
	t.Parallel()
	event := decode(t, `{"data":{"n":5,"list":[1],"nothing":null}}`)
	cases := []struct{ text, want string }{
		{`[event.data.absent]`, "invalid type comparison: no such key: absent: expression errored"},
		{`{"a": event.data.absent}`, "invalid type comparison: no such key: absent: expression errored"},
		{`json_parse("{}").a`, "invalid type comparison: no such key: a: expression errored"},
		{`event.data.nothing < true`, "expression did not return true or false"},
		{`event.data.nothing < event.data.list`, "expression did not return true or false"},
		{`!date(1.5)`, "expression did not return true or false"},
		{`1 == foo`, "invalid type comparison: no such attribute(s): foo: expression errored"},
		{`event.data.list < event.data.list`, "invalid type comparison: no such overload: expression errored"},
		{`true + true`, "invalid type comparison: no such overload: expression errored"},
		{`size()`, "no such overload: size()"},
	}
	for _, c := range cases {
		_, err := Eval(c.text, map[string]any{"event": event})
		require.EqualError(t, err, c.want, c.text)
	}
}

func TestLiteralsBeyondTheAlphabet(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(`1 == 1 && `, 13) + `event.data.s == "x" && 2.5 == 2.5 && 30 == 30`
	lifted, literals := lift(text, false)
	require.Len(t, literals, maxLifted)
	require.Contains(t, lifted, `event.data.s == "x" && 2.5 == 2.5 && 30 == 30`)
	ok, err := EvalBool(text, map[string]any{"event": decode(t, `{"data":{"s":"x"}}`)})
	require.NoError(t, err)
	require.True(t, ok)
}

func TestFaithfulLifting(t *testing.T) {
	t.Parallel()
	cases := []struct {
		text, lifted string
		literals     []ref.Val
	}{
		{`async.a == "x"`, `async.a == vars.a`, []ref.Val{types.String("x")}},
		{`async.a == "x\n"`, `async.a == "x\n"`, nil},
		{`async.a == r"x"`, `async.a == r"x"`, nil},
		{`async.a == """x"y""" && 1 == 2`, `async.a == """x"y""" && vars.a == vars.b`, []ref.Val{types.Int(1), types.Int(2)}},
		{`async.a == "open`, `async.a == "open`, nil},
		{`async.a == "open\"`, `async.a == "open\"`, nil},
		{`async.a == """open`, `async.a == """open`, nil},
		{`async.a == "" // it's`, `async.a == vars.a `, []ref.Val{types.String("")}},
		{`async.a == vars.a`, `async.a == vars.a`, nil},
	}
	for _, c := range cases {
		lifted, literals := lift(c.text, true)
		require.Equal(t, c.lifted, lifted)
		require.Equal(t, c.literals, literals, c.text)
	}
	// A user's own vars.a is not the first literal of another expression.
	_, err := Compile(`event.data.id == "x"`)
	require.NoError(t, err)
	ok, err := EvalBool(`event.data.id == vars.a`, map[string]any{"event": decode(t, `{"data":{"id":"x"}}`)})
	require.NoError(t, err)
	require.False(t, ok)
}

func TestCompileInterpolatedFallsBack(t *testing.T) {
	t.Parallel()
	open, err := CompileInterpolated(`async.data.id == "x`)
	require.NoError(t, err, "valid as Compile reads it")
	result, err := open.Eval(map[string]any{"async": decode(t, `{"data":{"id":"x"}}`)})
	require.NoError(t, err)
	require.Equal(t, true, result.Value())
	require.False(t, result.IsFalse())
	_, err = CompileInterpolated(`async.data.id ==`)
	require.ErrorContains(t, err, "error compiling expression")
}

func TestIntegerUse(t *testing.T) {
	t.Parallel()
	event := map[string]any{"event": decode(t, `{"data":{"n":5}}`)}
	result, err := Eval(`event.data.n == 5 ? 120 : 0`, event)
	require.NoError(t, err)
	n, ok := result.Int()
	require.True(t, ok)
	require.EqualValues(t, 120, n)
	result, err = Eval(`event.data.n`, event)
	require.NoError(t, err)
	_, ok = result.Int()
	require.False(t, ok, "numbers of an event are doubles")
}

func TestSyntaxPolicy(t *testing.T) {
	t.Parallel()
	require.NoError(t, Validate(`unknown.name + frobnicate()`, PolicySyntax))
	require.ErrorContains(t, Validate(`event.data.`, PolicySyntax), "error compiling expression: ERROR: <input>:1:12: Syntax error")
	require.ErrorContains(t, Validate(`unknown.name`, PolicyFull), "undeclared reference to 'unknown'")
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache[int](2)
	computed := map[string]int{}
	get := func(text string) {
		v, err := c.get(text, func(text string) (int, error) {
			computed[text]++
			return len(text), fmt.Errorf("of %s", text)
		})
		require.Equal(t, len(text), v)
		require.EqualError(t, err, "of "+text)
	}
	for _, text := range []string{"a", "bb", "a", "ccc", "a", "bb"} {
		get(text)
	}
	require.Equal(t, map[string]int{"a": 1, "bb": 2, "ccc": 1}, computed)
	require.Len(t, c.entries, 2)
	require.Equal(t, 2, c.recent.Len())
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				text := fmt.Sprintf(`event.data.n == %d && lowercase("A") == "a" && event.data.absent == null`, j)
				ok, err := EvalBool(text, map[string]any{"event": map[string]any{"data": map[string]any{"n": float64(i)}}})
				if err != nil || ok != (i == j) {
					t.Errorf("%s with n=%d: %v, %v", text, i, ok, err)
				}
			}
		})
	}
	wg.Wait()
}

// No text makes any entry point panic, and a Set agrees with evaluation on
// what is valid.
func FuzzExpressions(f *testing.F) {
	for _, seed := range []string{
		`event.data.id == async.data.id`, `async.a == "x" && async.b == 1`, `[1,2].exists(x, x == async.n)`, `"a`, `'''`, `r"`, `.5e`, `vars.a`,
		`has(event.a)`, `async.a[0]["b"].c == null || -1 < async.n`, `@equals(1, 2)`, `// x`, `{"a": event.b}["a"]`, "\x00", `a ? b : c`,
	} {
		f.Add(seed)
	}
	vars := map[string]any{"event": map[string]any{"data": map[string]any{"id": "x"}}, "async": map[string]any{"a": "x", "n": 1.0}}
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = Eval(text, vars)
		_ = Validate(text, PolicyRestrictive)
		interpolated, err := Interpolate(text, vars)
		if err != nil && interpolated != text {
			t.Errorf("%q changed to %q with error %v", text, interpolated, err)
		}
		set := NewSet()
		if set.Add("w", text) != nil {
			return
		}
		ids, _ := set.Match(vars["async"].(map[string]any))
		compiled, err := CompileInterpolated(text)
		if err != nil || strings.TrimSpace(text) == "" {
			return
		}
		if strings.Contains(text, "now") {
			return
		}
		result, err := compiled.Eval(map[string]any{"async": vars["async"]})
		want := false
		if err == nil {
			want, _ = result.Bool()
		}
		if want != (len(ids) == 1) {
			t.Errorf("%q: set %v, evaluation %v", text, ids, want)
		}
	})
}

func BenchmarkInterpolate(b *testing.B) {
	vars := map[string]any{"event": map[string]any{"data": map[string]any{"id": "o-9"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Interpolate(`event.data.id == async.data.id`, vars); err != nil {
			b.Fatal(err)
		}
	}
}
