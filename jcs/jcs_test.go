package jcs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	reference "github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
)

func TestCanonicalize(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		// Scalars at the top.
		`null`: `null`, ` true `: `true`, "false\n": `false`, `""`: `""`, `"a"`: `"a"`, ` 42`: `42`,
		// Numbers in ECMAScript form (§3.2).
		`1.50`: `1.5`, `1e2`: `100`, `-0`: `0`, `0`: `0`, `-0.0`: `0`, `-0.5`: `-0.5`, `1.0`: `1`,
		`9007199254740991`: `9007199254740991`, `9007199254740993`: `9007199254740992`, `12345678901234567890`: `12345678901234567000`,
		`1795645319063000000`: `1795645319063000000`, `1e21`: `1e+21`, `1E-7`: `1e-7`, `0.000001`: `0.000001`, `0.0000001`: `1e-7`,
		`123456789012345`: `123456789012345`, `0.1234567`: `0.1234567`, `4.35`: `4.35`, `333333333.33333329`: `333333333.3333333`,
		`-1e-400`: `0`, `5e-324`: `5e-324`, `1.7976931348623157e308`: `1.7976931348623157e+308`,
		// Strings: minimal escapes only.
		`"é"`: `"é"`, `"\u00e9"`: `"é"`, `"<>&"`: `"<>&"`, `"\u003c"`: `"<"`, `"\/"`: `"/"`, `"a\n\t\r\b\f\"\\"`: `"a\n\t\r\b\f\"\\"`,
		`"\u000a\u001F\u0000"`: `"\n\u001f\u0000"`, `"\ud83d\ude00"`: `"😀"`, "\"\u2028\x7f\"": "\"\u2028\x7f\"",
		// What RFC 8785 leaves out: lone surrogates and invalid UTF-8.
		`"\ud83d"`: `"` + "\uFFFD" + `"`, `"\ud83dx"`: `"` + "\uFFFD" + `x"`, `"\ud83d\ud83d\ude00"`: `"` + "\uFFFD" + `😀"`, `"\ude00\u0041"`: `"` + "\uFFFD" + `A"`,
		"\"a\xffb\"": "\"a\uFFFDb\"", "\"\xe2\x82\"": "\"\uFFFD\uFFFD\"",
		// Arrays and objects.
		`[]`: `[]`, `[ 1 , [ ] , {} ]`: `[1,[],{}]`, `{}`: `{}`, `{ }`: `{}`,
		`{"b":1,"a":2}`: `{"a":2,"b":1}`,
		`{"a":1,"b":{"d":[{"z":0,"y":0}],"c":0}}`: `{"a":1,"b":{"c":0,"d":[{"y":0,"z":0}]}}`,
		`{"a":1,"A":2,"":3}`:                      `{"":3,"A":2,"a":1}`,
		`{"ab":1,"a":2}`:                          `{"a":2,"ab":1}`,
		`{"\u0062":1,"a":2}`:                      `{"a":2,"b":1}`,
		`{"a":1,"b":2,"a":3}`:                     `{"a":3,"b":2}`,
		`{"a":1,"\u0061":{"x":1}}`:                `{"a":{"x":1}}`,
		"{\"\xff\":1,\"\xfe\":2}":                 "{\"\uFFFD\":2}",
		// UTF-16 order: U+1F600 is D83D DE00 and sorts before U+FB33.
		`{"` + "\ufb33" + `":1,"😀":2,"€":3,"z":4}`: `{"z":4,"€":3,"😀":2,"` + "\ufb33" + `":1}`,
	} {
		got, err := Canonicalize(json.RawMessage(in))
		require.NoError(t, err, in)
		require.Equal(t, want, string(got), in)
		again, err := Canonicalize(got)
		require.NoError(t, err, in)
		require.Equal(t, want, string(again), in)
	}
}

func TestCanonicalizeRefusesWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		``, ` `, `nul`, `nulll`, `True`, `+1`, `01`, `-`, `1.`, `.5`, `1e`, `1e+`, `0x10`, `1_000`, `NaN`, `1 2`, `1e400`, `-1e400`,
		`"`, `"a`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, "\"\x01\"", "\"\\n\x01\"", `"\n`, `"a"b`, `[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `]`,
		`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{1:2}`, `{"a":1 "b":2}`, `{"\q":1}`, `}`, "\x00", "é", "\u00a01",
		strings.Repeat("[", 20000), strings.Repeat("[", 200) + "x" + strings.Repeat("]", 200),
	} {
		_, err := Canonicalize(json.RawMessage(in))
		require.Error(t, err, in)
	}
}

func TestCanonicalizeDeepNesting(t *testing.T) {
	t.Parallel()
	nest := func(depth int, inner string) string {
		return strings.Repeat(`{"a":`, depth) + inner + strings.Repeat(`}`, depth)
	}
	for _, depth := range []int{maxCanonicalDepth - 1, maxCanonicalDepth, maxCanonicalDepth + 1, 5000} {
		got, err := Canonicalize(json.RawMessage(nest(depth, `[{"y":1, "x":2}]`)))
		require.NoError(t, err, depth)
		require.Equal(t, nest(depth, `[{"x":2,"y":1}]`), string(got), depth)
	}
}

func TestCanonicalizeReturnsCanonicalInputUncopied(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"a":[1,-2,3.25],"b":{"c":"é\n","d":null},"e":1795645322326}`, `"text"`, `null`, `0`} {
		raw := json.RawMessage(in)
		got, err := Canonicalize(raw)
		require.NoError(t, err)
		require.Same(t, &raw[0], &got[0], in)
	}
}

// Every decimal that isCanonical lets pass must be its own ECMAScript form.
func TestPlainDecimalsAreCanonical(t *testing.T) {
	t.Parallel()
	for _, whole := range []string{"0", "7", "48", "4503599", "90071992547", "123456789012"} {
		for fraction := range 1200 {
			text := whole + "." + strconv.Itoa(fraction*fraction)
			got, err := Canonicalize(json.RawMessage(text))
			require.NoError(t, err)
			want, err := reference.Transform([]byte(text))
			require.NoError(t, err)
			require.Equal(t, string(want), string(got))
		}
	}
}

func FuzzCanonicalize(f *testing.F) {
	for _, seed := range []string{
		`{"b":1,"a":[true,null,"x\u00e9"],"c":{"z":1.50,"y":1e2}}`, `"\ud83d"`, `-0.0`, `123456789012345678`, "{\"\xff\":1}",
		`{"a":1,"a":2}`, `0.0000012`, `1e-7`, `[[[[]]]]`, "\"\u2028\"", `{"😀":1,"` + "\ufb33" + `":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		got, err := Canonicalize(in)
		if !bytes.Equal(before, in) {
			t.Fatalf("input changed from %q to %q", before, in)
		}
		if err != nil {
			var number float64
			if json.Valid(in) && json.Unmarshal(in, &number) == nil {
				t.Fatalf("refused the number %q: %v", in, err)
			}
			if json.Valid(in) && !bytes.ContainsAny(in, "eE") && len(in) < 300 && nesting(in) < maxCanonicalDepth {
				t.Fatalf("refused %q: %v", in, err)
			}
			return
		}
		if !json.Valid(in) && nesting(in) < maxCanonicalDepth {
			t.Fatalf("accepted %q, which is not JSON", in)
		}
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("%q became %q", in, got)
		}
		if want, err := reference.Transform(in); err == nil && !bytes.Equal(want, got) {
			t.Fatalf("%q became %q, the reference says %q", in, got, want)
		}
		again, err := reference.Transform(got)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q, which the reference makes %q (%v)", in, got, again, err)
		}
	})
}

func nesting(in []byte) int {
	return bytes.Count(in, []byte("[")) + bytes.Count(in, []byte("{"))
}

func TestCompareUTF16(t *testing.T) {
	t.Parallel()
	letters := []string{"", "a", "b", "ab", "é", "€", "\ue000", "\ufb33", "\uffff", "\U00010000", "😀", "\U0010ffff", "a😀", "a\uffff"}
	for _, a := range letters {
		for _, b := range letters {
			require.Equal(t, sign(compareUnits(a, b)), sign(Compare(a, b)), "%q %q", a, b)
		}
	}
}

// compareUnits is the definition that Compare must agree with.
func compareUnits(a, b string) int {
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}

func sign(n int) int { return cmp.Compare(n, 0) }

func BenchmarkCanonicalize(b *testing.B) {
	canonical := []byte(`{"data":{"amount":1250,"currency":"EUR","id":"order-48213","lines":[{"n":1,"sku":"A-1"},{"n":2,"sku":"B-7"}]},"id":"01M8AD0GCP1QTJAGB33JQ8JBTR","name":"shop/order.created","ts":1795645322326,"user":{}}`)
	unsorted := []byte(`{"name":"shop/order.created","ts":1795645322326,"data":{"id":"order-48213","lines":[{"sku":"A-1","n":1},{"sku":"B-7","n":2}],"currency":"EUR","amount":1250},"id":"01M8AD0GCP1QTJAGB33JQ8JBTR","user":{}}`)
	for name, in := range map[string][]byte{"canonical": canonical, "unsorted": unsorted} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if _, err := Canonicalize(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("reference", func(b *testing.B) {
		for b.Loop() {
			if _, err := reference.Transform(unsorted); err != nil {
				b.Fatal(err)
			}
		}
	})
}
