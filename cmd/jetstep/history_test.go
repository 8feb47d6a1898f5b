package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"jetstep/cmd/jetstep/internal/config"
)

func TestHistoryCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	status := runCommand(t, nil, "history", "status", "--data-dir", dir, "--partitions", "1")
	require.Zero(t, status.code, status.stderr)
	require.Contains(t, status.stdout, "LOG_0")
	require.Contains(t, status.stdout, "EVENTS")

	dry := runCommand(t, nil, "history", "rebuild", "--data-dir", dir)
	require.Zero(t, dry.code, dry.stderr)
	require.Contains(t, dry.stdout, "Nothing was changed")
	drop := runCommand(t, nil, "history", "rebuild", "--data-dir", dir, "--drop-ended", "--yes")
	require.Zero(t, drop.code, drop.stderr)
	require.Contains(t, drop.stdout, "All runs and events are deleted")
	require.Contains(t, drop.stdout, "Done.")
	done := runCommand(t, nil, "history", "rebuild", "--data-dir", dir, "--yes")
	require.Zero(t, done.code, done.stderr)
	require.Contains(t, done.stdout, "Done.")

	wrong := runCommand(t, nil, "history", "status", "--postgres-uri", "mysql://x")
	require.Equal(t, 1, wrong.code)
}

// TestHistoryOfARunningServer has the directories in use.
func TestHistoryOfARunningServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.Zero(t, runCommand(t, nil, "history", "status", "--data-dir", dir).code)
	opts := config.Options{DataDir: dir}
	claimed, err := claimDirs(&opts)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "nats"), opts.NATS.StoreDir)
	defer func() { require.NoError(t, claimed.release()) }()

	refused := runCommand(t, nil, "history", "rebuild", "--data-dir", dir, "--yes")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.stderr, "a server is running")
	status := runCommand(t, nil, "history", "status", "--data-dir", dir)
	require.Zero(t, status.code, status.stderr)
	require.Contains(t, status.stdout, "A server is running")
	require.Contains(t, status.stdout, "POSITION")
}
