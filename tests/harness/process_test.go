package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shell starts a shell script.
func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Command{Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Env: os.Environ()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Kill() })
	return p
}

// printed waits until the process has written the line.
func printed(t *testing.T, p *Process, line string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := Await(ctx, "the line "+line, func(context.Context) (struct{}, error) {
		if !strings.Contains(p.Log().Tail(100), line) {
			return struct{}{}, errors.New("not written")
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

func TestProcessTellsHowItEnded(t *testing.T) {
	t.Parallel()
	p := shell(t, "echo out; echo err >&2; exit 3")
	<-p.Done()
	err := p.Exited()
	require.ErrorContains(t, err, "script has ended (exit status 3)")
	require.ErrorContains(t, err, "out")
	require.ErrorContains(t, err, "err")
	require.NoError(t, p.Kill(), "killing what has ended does nothing")
}

func TestProcessCannotStart(t *testing.T) {
	t.Parallel()
	_, err := Start(Command{Name: "nothing", Path: "/does/not/exist"})
	require.ErrorContains(t, err, "starting nothing")
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	p := shell(t, "sleep 1000 & echo child $!; wait")
	printed(t, p, "child")
	require.NoError(t, p.Exited())
	var child int
	_, err := fmt.Sscanf(p.Log().Lines()[0], "child %d", &child)
	require.NoError(t, err)

	require.NoError(t, p.Kill())
	require.Error(t, p.Exited())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = Await(ctx, "the end of the child", func(context.Context) (struct{}, error) {
		if running(child) {
			return struct{}{}, errors.New("it runs")
		}
		return struct{}{}, nil
	})
	require.NoError(t, err)
}

// running tells whether there is such a process. One that has ended but that
// nobody has waited for does not count.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func TestStop(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, script string
		grace        time.Duration
		err          string
	}{
		{"ended by the signal", "echo ready; exec sleep 1000", 10 * time.Second, ""},
		{"ended in order", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", 10 * time.Second, ""},
		{"ended with an error", "trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done", 10 * time.Second, "exit status 4"},
		{"deaf", "trap '' TERM; echo ready; while :; do sleep 0.01; done", 50 * time.Millisecond, "still runs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := shell(t, tc.script)
			printed(t, p, "ready")
			err := p.Stop(tc.grace)
			require.Error(t, p.Exited(), "it runs on")
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.err)
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	p := shell(t, "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.01; done")
	printed(t, p, "line 1")
	require.NoError(t, p.Freeze())
	frozen := p.Log().Tail(1)
	require.Eventually(t, func() bool {
		before := frozen
		frozen = p.Log().Tail(1) // what was on its way may still come
		return frozen == before
	}, 10*time.Second, 100*time.Millisecond)
	require.NoError(t, p.Thaw())
	require.Eventually(t, func() bool { return p.Log().Tail(1) != frozen }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, p.Freeze())
	require.NoError(t, p.Kill())
	require.Error(t, p.Exited())
}

func TestEnvironment(t *testing.T) {
	for key, value := range map[string]string{
		"INNGEST_DEV": "1", "JETSTEP_PORT": "1", "LOG_LEVEL": "debug", "PORT": "3000", "KEPT": "yes",
	} {
		t.Setenv(key, value)
	}
	env := Environment("/somewhere", "INNGEST_DEV=0")
	require.Contains(t, env, "HOME=/somewhere")
	require.Contains(t, env, "KEPT=yes")
	require.Equal(t, "INNGEST_DEV=0", env[len(env)-1])
	for _, gone := range []string{"INNGEST_DEV=1", "JETSTEP_PORT=1", "LOG_LEVEL=debug", "PORT=3000", "HOME=" + os.Getenv("HOME")} {
		require.NotContains(t, env, gone)
	}
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 50 {
		port, err := FreePort()
		require.NoError(t, err)
		require.False(t, seen[port])
		seen[port] = true
	}
}
