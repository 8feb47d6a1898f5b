package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"jetstep/cmd/jetstep/internal/config"
	"jetstep/tests/harness"
)

func TestDatabaseLocation(t *testing.T) {
	t.Parallel()
	at := func(uri string) string {
		return databaseLocation(config.Options{SQLiteDir: "/data", Original: config.Original{PostgresURI: uri}})
	}
	require.Equal(t, "SQLite /data/main.db", at(""))
	require.Equal(t, "PostgreSQL h:5432/d", at("postgres://u:secret@h:5432/d?sslmode=disable"), "nothing secret")
	require.Equal(t, "PostgreSQL", at("postgres://%"))
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }

// get asks a server and returns the answer's status and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// await asks until the answer has this status and text.
func await(t *testing.T, url string, status int, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	body, err := harness.Await(ctx, url, func(context.Context) (string, error) {
		code, body := get(t, url)
		if code != status || !strings.Contains(body, text) {
			return "", fmt.Errorf("status %d: %s", code, body)
		}
		return body, nil
	})
	require.NoError(t, err)
	return body
}

func TestBinaryDatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	postgres, err := harness.StartPostgres(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = postgres.Close() })
	uri, err := postgres.CreateDatabase(t.Context(), "history")
	require.NoError(t, err)
	require.NoError(t, postgres.Kill())

	p := start(t, invocation{args: []string{"start", "--signing-key", "abcd", "--event-key", "k", "--host", "127.0.0.1", "-p", "0", "--postgres-uri", uri}})
	history := p.awaitRecord("jetstep is running").attrs["history"].(string)
	require.Contains(t, history, "PostgreSQL 127.0.0.1:")
	require.Contains(t, history, ", not available: ")
	require.Equal(t, "ERROR", p.awaitRecord("the history is not available; runs are executed, and shown once it is").Level)
	url := p.url()
	await(t, url+"/ready", 200, `"history":{"state":"unavailable"`)

	sent, err := http.Post(url+"/e/k", "application/json", strings.NewReader(`{"name":"a/b","data":{"n":1}}`))
	require.NoError(t, err)
	require.NoError(t, sent.Body.Close())
	require.Equal(t, 200, sent.StatusCode, "nothing that executes needs it")
	client := &harness.Client{URL: url, SigningKey: "abcd"}
	_, err = client.Runs(t.Context(), "01M8AF1G01X4B25E9428SVBFJ0")
	var refused *harness.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 503, refused.Status)
	require.Contains(t, refused.Body, "The history is not available at the moment")

	require.NoError(t, postgres.Restart(t.Context()))
	p.awaitRecord("the history is available")
	await(t, url+"/ready", 200, `"history":{"state":"ok","messages_behind":0`)
	db, err := sql.Open("pgx", uri)
	require.NoError(t, err)
	defer db.Close()
	var name string
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT event_name FROM events`).Scan(&name))
	require.Equal(t, "a/b", name, "what came meanwhile is there, too")
}

func TestBinaryDatabaseThatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "main.db"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `CREATE TABLE apps (id TEXT); CREATE TABLE functions (id TEXT)`)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	p := start(t, invocation{args: []string{"dev", "--host", "127.0.0.1", "-p", "0", "--no-discovery", "--data-dir", dir}})
	requireOneRecord(t, p, "main.db: cannot adopt this database: ")
}

func TestBinaryDatabaseIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"dev", "--host", "127.0.0.1", "-p", "0", "--no-discovery", "--data-dir", dir}
	first := start(t, invocation{args: args})
	url := first.url()
	sent, err := http.Post(url+"/e/k", "application/json", strings.NewReader(`{"name":"a/b"}`))
	require.NoError(t, err)
	require.NoError(t, sent.Body.Close())
	await(t, url+"/v1/events", 200, `"name":"a/b"`)
	require.NoError(t, first.cmd.Process.Kill())
	first.wait()
	second := start(t, invocation{args: args})
	require.Equal(t, "SQLite "+filepath.Join(dir, "main.db"), second.awaitRecord("jetstep is running").attrs["history"])
	_, body := get(t, second.url()+"/v1/events")
	require.Equal(t, 1, strings.Count(body, `"name":"a/b"`), "once")
	_, err = os.Stat(filepath.Join(dir, "nats"))
	require.NoError(t, err)
}

func TestOpeningIsTriedAgain(t *testing.T) {
	t.Parallel()
	opts := config.Options{SQLiteDir: filepath.Join(t.TempDir(), "later")}
	var log output
	m, err := prepareReadModel(opts, textLog(&log))
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.close() })
	require.ErrorContains(t, m.problem(), "being opened")
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	t.Cleanup(background.Wait)
	t.Cleanup(cancel)
	require.NoError(t, m.open(ctx, &background), "it is no reason not to start")
	require.Error(t, m.problem())
	require.NoError(t, os.Mkdir(opts.SQLiteDir, 0o700))
	background.Wait()
	require.NoError(t, m.problem())
	require.Contains(t, log.String(), "the history is available")
}

func TestOpeningEndsWithTheServer(t *testing.T) {
	t.Parallel()
	m, err := prepareReadModel(config.Options{SQLiteDir: filepath.Join(t.TempDir(), "never")}, textLog(io.Discard))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var background sync.WaitGroup
	require.NoError(t, m.open(ctx, &background))
	cancel()
	background.Wait()
	require.Error(t, m.problem())
	require.NoError(t, errors.Join(m.close()))

	_, err = prepareReadModel(config.Options{Original: config.Original{PostgresURI: "postgres://h:port/d"}}, textLog(io.Discard))
	require.ErrorContains(t, err, "parsing the database URL")
}
