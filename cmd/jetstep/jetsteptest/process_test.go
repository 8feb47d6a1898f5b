package jetsteptest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOutputAwait(t *testing.T) {
	t.Parallel()
	hasB := func(text []byte) bool { return string(text) == "ab" }
	t.Run("written later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOutput()
			go func() {
				for _, s := range []string{"a", "b"} {
					time.Sleep(time.Second)
					_, _ = o.Write([]byte(s))
				}
			}()
			require.True(t, o.await(time.Minute, hasB))
			require.Equal(t, "ab", o.String())
		})
	})
	t.Run("never written", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			require.False(t, newOutput().await(time.Minute, hasB))
		})
	})
	t.Run("process ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOutput()
			began := time.Now()
			go o.close()
			require.False(t, o.await(time.Minute, hasB))
			require.Zero(t, time.Since(began))
		})
	})
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	r, err := ParseRecord([]byte(`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"m","k":1}`))
	require.NoError(t, err)
	require.Equal(t, "INFO", r.Level)
	require.Equal(t, "m", r.Msg)
	require.Equal(t, 2026, r.Time.Year())
	require.EqualValues(t, 1, r.Attrs["k"])

	_, err = ParseRecord([]byte("plain text"))
	require.Error(t, err)
}

func TestBuildArgs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"build", "-o", "x", "jetstep/cmd/jetstep"}, buildArgs("x", false))
	require.Contains(t, buildArgs("x", true), "-cover")
}
