package load_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"jetstep/bench"
	"jetstep/tests/harness"
)

const signingKey = "signkey-test-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// site is a server with its database and an app.
type site struct {
	t        *testing.T
	began    time.Time
	postgres *harness.Postgres
	server   *harness.Server
	app      *bench.App
}

func startSite(t *testing.T, ctx context.Context) *site {
	t.Helper()
	s := &site{t: t, began: time.Now()}
	binary, err := harness.BuildServer(ctx, t.TempDir())
	require.NoError(t, err)
	s.postgres, err = harness.StartPostgres(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.postgres.Close() })
	s.server, err = harness.StartServer(ctx, harness.ServerConfig{
		Binary: binary, Mode: harness.ModeStart, Dir: t.TempDir(), SigningKey: signingKey, EventKey: "0123456789",
		Args: []string{"--postgres-uri", s.postgres.URL("postgres")},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("server log:\n%s", s.server.Log().Tail(40))
		}
		_ = s.server.Stop(10 * time.Second)
	})
	s.app, err = bench.StartApp("load")
	require.NoError(t, err)
	t.Cleanup(s.app.Close)
	require.NoError(t, s.app.Register(ctx, s.server.URL(), strings.TrimPrefix(signingKey, "signkey-test-")))
	return s
}

// await waits until check finds nothing wrong.
func (s *site) await(ctx context.Context, what string, check func(context.Context) error) {
	s.t.Helper()
	_, err := harness.Await(ctx, what, func(ctx context.Context) (struct{}, error) {
		if err := s.server.Exited(); err != nil {
			return struct{}{}, harness.Permanent(err)
		}
		return struct{}{}, check(ctx)
	})
	require.NoError(s.t, err)
}

func (s *site) awaitCompleted(ctx context.Context, n int64) {
	s.t.Helper()
	s.await(ctx, fmt.Sprintf("%d runs to end", n), func(context.Context) error {
		if done := s.app.Completed.Load(); done < n {
			return fmt.Errorf("%d have", done)
		}
		return nil
	})
}

// awaitHistory waits until the server says this of its history. It has to be
// ready all the while, since runs are executed.
func (s *site) awaitHistory(ctx context.Context, state string) {
	s.t.Helper()
	s.await(ctx, "the history to be "+state, func(ctx context.Context) error {
		status, body, err := s.get(ctx, "/ready")
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return harness.Permanent(fmt.Errorf("status %d: %s", status, body))
		}
		var answer struct{ History struct{ State string } }
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			return harness.Permanent(err)
		}
		if answer.History.State != state {
			return fmt.Errorf("it is %s", body)
		}
		return nil
	})
}

// lag is how many messages the database is behind.
func (s *site) lag() (float64, error) {
	return (&bench.Target{URL: s.server.URL()}).Sum("jetstep_projection_lag_messages")
}

// listed wants n runs in the list, with this status unless it is empty.
func (s *site) listed(ctx context.Context, status string, n int) error {
	filter := map[string]any{"from": s.began.Add(-time.Minute).UTC().Format(time.RFC3339)}
	if status != "" {
		filter["status"] = []string{status}
	}
	const document = `query($f:RunsFilterV2!,$o:[RunsV2OrderBy!]!){runs(first:1,filter:$f,orderBy:$o,preview:true){totalCount}}`
	variables := map[string]any{"f": filter, "o": []any{map[string]any{"field": "QUEUED_AT", "direction": "DESC"}}}
	var data struct{ Runs struct{ TotalCount int } }
	if err := s.server.Client().GraphQL(ctx, document, variables, &data); err != nil {
		return err
	}
	if got := data.Runs.TotalCount; got != n {
		return fmt.Errorf("%d of %d runs", got, n)
	}
	return nil
}

func (s *site) get(ctx context.Context, path string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL()+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+signingKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	return res.StatusCode, string(content), err
}
