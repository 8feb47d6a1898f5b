package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGCPercent(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for _, tc := range []struct {
		live uint64
		rate float64
		want int
	}{
		{0, 0, gcPercentMax},                   // nothing is known yet
		{1 * mib, 0, gcPercentMax},             // a small heap
		{20 * mib, 0, 80},                      // little to do
		{20 * mib, 100 * mib, 250},             // half a second of it
		{20 * mib, 1000 * mib, 800},            // as much as there may be
		{40 * mib, 1000 * mib, 400},            // of a larger heap
		{1000 * mib, 1000 * mib, gcPercentMin}, // a large one
	} {
		require.Equal(t, tc.want, gcPercent(tc.live, tc.rate), tc)
	}
}
