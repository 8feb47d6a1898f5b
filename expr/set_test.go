package expr

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type aggregateCase struct {
	Expr  string
	Naive map[string]bool
}

// aggregateEvents are the three events of expressions.md §15.
func aggregateEvents(t *testing.T) map[string]map[string]any {
	return map[string]map[string]any{
		"i1": decode(t, `{"name":"n","ts":10,"data":{"id":"x","n":7,"s":"b","tags":["t1","t2"]}}`),
		"i2": decode(t, `{"name":"n","ts":10,"data":{"id":"y","n":-1}}`),
		"i3": decode(t, `{"name":"n","ts":10,"data":{"id":null}}`),
	}
}

func TestSetMatchesPlainEvaluationOfReference(t *testing.T) {
	t.Parallel()
	var cases []aggregateCase
	readFixture(t, "expressions-aggregate.json", &cases)
	require.Len(t, cases, 41)
	all := NewSet()
	for i, c := range cases {
		require.NoError(t, all.Add(fmt.Sprint(i), c.Expr), c.Expr)
	}
	for range 100 { // the reference changes its method at 50
		require.NoError(t, all.Add(fmt.Sprint("other", all.Len()), `async.data.id == "nobody"`))
	}
	for name, event := range aggregateEvents(t) {
		matched := map[string]bool{}
		ids, _ := all.Match(event)
		for _, id := range ids {
			matched[id] = true
		}
		for i, c := range cases {
			require.Equal(t, c.Naive[name], matched[fmt.Sprint(i)], "%s in all, event %s", c.Expr, name)
			alone := NewSet()
			require.NoError(t, alone.Add("w", c.Expr))
			ids, _ := alone.Match(event)
			require.Equal(t, c.Naive[name], len(ids) == 1, "%s alone, event %s", c.Expr, name)
		}
	}
}

func TestSetAsyncCasesOfReference(t *testing.T) {
	t.Parallel()
	var cases []evalCase
	readFixture(t, "expressions.json", &cases)
	tried := 0
	for _, c := range cases {
		if c.Async == nil || c.Event != nil || c.Type != "bool" {
			continue
		}
		tried++
		set := NewSet()
		require.NoError(t, set.Add("w", c.Expr))
		ids, errs := set.Match(c.Async)
		require.Empty(t, errs)
		require.Equal(t, string(c.Result) == "true", len(ids) == 1, c.Expr)
	}
	require.Positive(t, tried)
}

func TestSetOrderAndRemoval(t *testing.T) {
	t.Parallel()
	set := NewSet()
	texts := []string{``, `async.data.id == "x"`, `true`, `"x" == async.data.id && async.data.n == 1.0`, `async.data.id == "x" || async.data.n == 1`}
	for i, text := range texts {
		require.NoError(t, set.Add(fmt.Sprint(i), text))
	}
	event := decode(t, `{"data":{"id":"x","n":1}}`)
	match := func() string {
		ids, errs := set.Match(event)
		require.Empty(t, errs)
		return strings.Join(ids, " ")
	}
	require.Equal(t, "0 1 2 3 4", match())
	require.Equal(t, 5, set.Len())

	set.Remove("2")
	set.Remove("2")
	set.Remove("unknown")
	require.Equal(t, "0 1 3 4", match())

	require.NoError(t, set.Add("1", `async.data.id == "x"`), "replacing moves to the end")
	require.Equal(t, "0 3 4 1", match())
	require.NoError(t, set.Add("0", `async.data.id == "y"`))
	require.Equal(t, "3 4 1", match())

	for i := range texts {
		set.Remove(fmt.Sprint(i))
	}
	require.Empty(t, match())
	require.Zero(t, set.Len())
	require.Empty(t, set.paths, "nothing is kept of what is gone")
}

func TestSetErrors(t *testing.T) {
	t.Parallel()
	set := NewSet()
	require.NoError(t, set.Add("kept", `async.data.id == "x"`))
	for _, text := range []string{`async.data.id ==`, `async.in == 1`, `async.data.id == "x" &&`, `async == 1 1`} {
		require.ErrorContains(t, set.Add("kept", text), "Syntax error", text)
	}
	ids, errs := set.Match(decode(t, `{"data":{"id":"x"}}`))
	require.Empty(t, errs)
	require.Equal(t, []string{"kept"}, ids, "a failed Add changes nothing")

	require.NoError(t, set.Add("text", `async.data.id`))
	require.NoError(t, set.Add("type", `async.data.id > 5`))
	ids, errs = set.Match(decode(t, `{"data":{"id":"x"}}`))
	require.Equal(t, []string{"kept"}, ids)
	require.Len(t, errs, 2)
	var failed *MatchError
	require.ErrorAs(t, errs[0], &failed)
	require.Equal(t, "text", failed.ID)
	require.EqualError(t, failed, "expression text: returned type string (x): expression errored")
}

// An interpolated literal keeps its escapes, which Eval alone would not read.
func TestSetReadsEscapes(t *testing.T) {
	t.Parallel()
	run := decode(t, `{"data":{"q":"say \"hi\"\n"}}`)
	text, err := Interpolate(`event.data.q == async.data.q`, map[string]any{"event": run})
	require.NoError(t, err)
	set := NewSet()
	require.NoError(t, set.Add("w", text))
	ids, errs := set.Match(run)
	require.Empty(t, errs)
	require.Equal(t, []string{"w"}, ids)
}

// Random expressions match in a set as they do alone and without an index.
func TestSetEqualsPlainEvaluation(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	predicate := func() string {
		path := pick("async.data.a", "async.data.b", `async.data["a"]`, "async.data.c.d", "async.ts", "async.data.l[0]")
		value := pick(`"x"`, `'y'`, `""`, "1", "1.0", "-1", "2u", "true", "false", "null", "5e-1", `"q\"q"`)
		op := pick("==", "==", "==", "!=", "<", ">=")
		if random.IntN(2) == 0 {
			path, value = value, path
		}
		return pick("", "", "", "!") + "(" + path + " " + op + " " + value + ")"
	}
	expression := func() string {
		text := predicate()
		for range random.IntN(4) {
			text = pick("", "(") + text + pick(" && ", " || ") + predicate()
			text += strings.Repeat(")", strings.Count(text, "(")-strings.Count(text, ")"))
		}
		if random.IntN(2) == 0 && !strings.ContainsAny(text, "!|") {
			text = strings.NewReplacer("(", "", ")", "").Replace(text)
		}
		return text
	}
	events := make([]map[string]any, 40)
	for i := range events {
		value := func() string {
			return pick(`"x"`, `"y"`, `""`, "1", "-1", "2", "true", "false", "null", "0.5", "[]", `"q\"q"`)
		}
		events[i] = decode(t, fmt.Sprintf(`{"ts":%s,"data":{"a":%s,"b":%s,"c":{"%s":%s},"l":[%s]}}`,
			pick("1", "5"), value(), value(), pick("d", "e"), value(), value()))
	}
	set, texts := NewSet(), map[string]string{}
	for i := range 600 {
		id, text := fmt.Sprint(i), expression()
		texts[id] = text
		require.NoError(t, set.Add(id, text), text)
		if random.IntN(5) == 0 {
			gone := fmt.Sprint(random.IntN(i + 1))
			set.Remove(gone)
			delete(texts, gone)
		}
	}
	require.Equal(t, len(texts), set.Len())
	for _, event := range events {
		matched := map[string]bool{}
		ids, _ := set.Match(event)
		for _, id := range ids {
			require.False(t, matched[id], "once")
			matched[id] = true
		}
		for id, text := range texts {
			plain, err := CompileInterpolated(text)
			require.NoError(t, err)
			result, err := plain.Eval(map[string]any{"async": event})
			want := false
			if err == nil {
				want, _ = result.Bool()
			}
			require.Equal(t, want, matched[id], "%s over %v", text, event)
		}
	}
}

func TestParseConjunction(t *testing.T) {
	t.Parallel()
	accepted := []string{
		`async.data.id == "x"`, ` "x"==async.data.id&&async . data . n ==1 `, `async["data"]['id'] == null`,
		`async.a == -5 && true == async.b`, `.5 == async.a`, `async.a == 1e3`,
	}
	for _, text := range accepted {
		_, ok := parseConjunction(text)
		require.True(t, ok, text)
		_, err := parse(text)
		require.NoError(t, err, "must be valid CEL: %s", text)
	}
	left := []string{
		``, `async == 1`, `async.a == b`, `async.a == 5u`, `async.a == 0x1F`, `async.a == "q\"q"`, `async.a == """x"""`,
		`async.a == "x`, `async.a == r"x"`, `async.a == 1.size()`, `async.a == "x".b`, `async.a != 1`, `async.a == 1 || true`,
		`async.a[0] == 1`, `async.in == 1`, `(async.a == 1)`, `event.a == 1`, `asyncx.a == 1`, `async.a == 99999999999999999999`,
		`async.a == 1 &&`, `async.a == - 5`, `async.a == nullx`, `async.a == 1 == true`, `async.a == -`, `async.a[`, `async.a ==`,
	}
	for _, text := range left {
		_, ok := parseConjunction(text)
		require.False(t, ok, text)
	}
}

// waits is a set of n waits for distinct orders.
func waits(tb testing.TB, n int, form string) *Set {
	set := NewSet()
	for i := range n {
		require.NoError(tb, set.Add(fmt.Sprintf("wait-%08d", i), fmt.Sprintf(form, i)))
	}
	return set
}

func BenchmarkSetMatch(b *testing.B) {
	forms := []struct{ name, form string }{
		{"equality", `async.data.orderId == "order-%d"`},
		{"conjunction", `async.data.kind == "shipped" && "order-%d" == async.data.orderId`},
		{"mixed", `async.data.orderId == "order-%d" && async.data.n > 5`},
	}
	event := map[string]any{"data": map[string]any{"orderId": "order-77777", "kind": "shipped", "n": 7.0}}
	for _, f := range forms {
		b.Run(f.name, func(b *testing.B) {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			set := waits(b, 100_000, f.form)
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportAllocs()
			for b.Loop() {
				if ids, _ := set.Match(event); len(ids) != 1 {
					b.Fatal(ids)
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/100_000, "B/wait")
			runtime.KeepAlive(set)
		})
	}
}

func BenchmarkSetAdd(b *testing.B) {
	set := NewSet()
	for i := 0; b.Loop(); i++ {
		if err := set.Add(fmt.Sprintf("wait-%08d", i), fmt.Sprintf(`async.data.orderId == "order-%d"`, i)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvalBool(b *testing.B) {
	vars := map[string]any{"event": map[string]any{"data": map[string]any{"status": "paid", "amount": 250.0}}}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := EvalBool(`event.data.status == "paid" && event.data.amount > 100`, vars); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
