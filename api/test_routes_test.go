package api

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// fakeTesting counts resets.
type fakeTesting struct {
	resets int
	err    error
}

func (f *fakeTesting) QueueSize(fn uuid.UUID) int { return int(fn[0]) }

func (f *fakeTesting) Reset(context.Context) error {
	f.resets++
	return f.err
}

func TestTestRoutes(t *testing.T) {
	t.Parallel()
	means := &fakeTesting{}
	f := newFixture(t, inStart, func(c *Config) { c.Testing = means })
	fn, account := uuid.UUID{7}.String(), "accountId="+function.AccountID.String()
	for _, c := range []struct {
		method, path, form string
		status             int
		body               string
	}{
		{"GET", "/test/", "", 200, "OK"},
		{"POST", "/test/function/pause", "fnId=" + fn, 200, ""},
		{"POST", "/test/function/pause", "fnId=x", 400, "Invalid fnId"},
		{"POST", "/test/function/pause", "%", 400, "{\"error\":\"Unable to read form\",\"data\":null,\"status\":400}\n"},
		{"POST", "/test/function/runs/cancel", account + "&fnId=" + fn + "&runId=" + knownRun, 200, ""},
		{"POST", "/test/function/runs/cancel", account + "&fnId=" + fn + "&runId=x", 400, "Invalid runId"},
		{"POST", "/test/function/runs/cancel", account + "&runId=" + knownRun, 400, "Invalid fnId"},
		{"POST", "/test/function/runs/cancel", "fnId=" + fn + "&runId=" + knownRun, 400, "Invalid accountId"},
		{"GET", "/test/queue/function-queue-size?" + account + "&fnId=" + fn, "", 200, "{\"count\":7}\n"},
		{"GET", "/test/queue/function-queue-size?" + account + "&fnId=", "", 400, "Invalid fnId"},
		{"GET", "/test/queue/function-queue-size?fnId=" + fn, "", 400, "Invalid accountId"},
		{"POST", "/test/reset", "", 200, "ok"},
	} {
		answer := f.do(t, c.method, c.path, c.form, "Content-Type: application/x-www-form-urlencoded")
		require.Equal(t, c.status, answer.Code, "%s %s", c.path, c.form)
		require.Equal(t, c.body, answer.Body.String(), c.path)
	}
	require.Equal(t, 1, means.resets)
	require.True(t, f.catalog.control(uuid.UUID{7}).Paused)

	cancel := func() int {
		return f.do(t, "POST", "/test/function/runs/cancel?"+account+"&fnId="+fn+"&runId="+goneRun, "").Code
	}
	f.runs.err = ErrRunNotFound
	require.Equal(t, http.StatusNotFound, cancel())
	f.runs.err = ErrRunEnded
	require.Equal(t, http.StatusOK, cancel())

	means.err = errors.New("no leader")
	require.Equal(t, http.StatusInternalServerError, f.do(t, "POST", "/test/reset", "").Code)
	require.Equal(t, http.StatusNotFound, newFixture(t).do(t, "GET", "/test/x", "").Code, "only when told so")
}
