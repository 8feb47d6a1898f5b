package driver

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/executor/signing"
)

// While keys are rotated, an app may know the old key only, then both, then
// the new one only. It is called with a signature that it takes.
func TestCallsDuringKeyRotation(t *testing.T) {
	t.Parallel()
	const oldKey, newKey = "00", testKey
	var known atomic.Value // the key that the app knows
	var requests atomic.Int64
	url := sdkAt(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || signing.Verify(r.Header.Get(signing.Header), body, time.Now(), known.Load().(string)) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `"done"`)
	})
	caller := newCaller(t, Config{SigningKey: newKey, FallbackKey: oldKey, RequireSigning: true})
	steps := []struct {
		known    string
		kind     Kind
		requests int64
		why      string
	}{
		{newKey, KindDone, 1, "the first key fits"},
		{oldKey, KindDone, 2, "the other key fits"},
		{oldKey, KindDone, 1, "and is remembered"},
		{newKey, KindDone, 2, "the app has changed its key"},
		{newKey, KindDone, 1, "which is remembered as well"},
		{"11", KindError, 2, "no key fits"},
		{newKey, KindDone, 1, "a refusal of both changes nothing"},
	}
	for _, step := range steps {
		known.Store(step.known)
		requests.Store(0)
		r := call(t, caller, url)
		require.Equal(t, step.kind, r.Kind, step.why)
		require.Equal(t, step.requests, requests.Load(), step.why)
	}
	alone := newCaller(t, Config{SigningKey: newKey, RequireSigning: true})
	known.Store(oldKey)
	requests.Store(0)
	require.Equal(t, KindError, call(t, alone, url).Kind)
	require.EqualValues(t, 1, requests.Load(), "without a second key there is nothing to try")
}
