package format_test

import (
	"testing"

	"jetstep/compat/redis/format"
)

// BenchmarkItem is what each job's item takes to be read, and to be written.
func BenchmarkItem(b *testing.B) {
	text := item("", "")
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := format.Decode[format.Item](here, text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		v, err := format.Decode[format.Item](here, text)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := format.Encode(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}
