package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command says what to run. Name is for messages; Env is the whole environment.
type Command struct {
	Name string
	Path string
	Args []string
	Dir  string
	Env  []string
	// Credential is the account to run as; nil for that of this process.
	Credential *syscall.Credential
}

// Process is a running command, in a process group of its own.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *Log
	done chan struct{}
	err  error // of Wait; readable once done is closed
}

// Start starts the command. Its output, standard output and error together, is
// collected in [Process.Log].
func Start(c Command) (*Process, error) {
	log := &Log{}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c.Credential}
	dieWithParent(cmd.SysProcAttr)
	// A grandchild that keeps the pipe open must not keep Wait from returning.
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Log is what the process has written so far.
func (p *Process) Log() *Log { return p.log }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exited returns nil while the process runs, and afterwards an error that
// tells how it ended, with the end of its log.
func (p *Process) Exited() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	state := "exit status 0"
	if p.err != nil {
		state = p.err.Error()
	}
	return fmt.Errorf("%s has ended (%s):\n%s", p.name, state, p.log.Tail(20))
}

// Kill ends the process group with SIGKILL and waits for its leader.
func (p *Process) Kill() error { return p.signalAndWait(syscall.SIGKILL, 10*time.Second) }

// Freeze stops the process group with SIGSTOP: it does nothing, and learns
// nothing of the time that passes, until [Process.Thaw]. It can be killed.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process group go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

// Stop ends the process group with SIGTERM, and with SIGKILL what is left of it
// after the grace period. It returns an error if SIGKILL was needed or the
// process did not end with status 0; ended by SIGTERM itself counts as 0.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.signalAndWait(syscall.SIGTERM, grace); err != nil {
		return errors.Join(err, p.Kill())
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if p.err != nil {
		return p.Exited()
	}
	return nil
}

func (p *Process) signalAndWait(signal syscall.Signal, timeout time.Duration) error {
	if p.Exited() != nil {
		return nil
	}
	if err := p.signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("%s still runs %v after %v", p.name, timeout, signal)
	}
}

// signal sends a signal to the process group. The leader may end in between:
// then there is nothing left to signal.
func (p *Process) signal(signal syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to %s: %w", signal, p.name, err)
	}
	return nil
}

// Environment is the environment for a process under test: what this process
// has, without what would change the behaviour of a server or an SDK, with HOME
// in the given directory, and with the extra "KEY=value" pairs.
func Environment(home string, extra ...string) []string {
	env := []string{"HOME=" + home, "DO_NOT_TRACK=1"}
	for _, pair := range os.Environ() {
		key, _, _ := strings.Cut(pair, "=")
		if foreign(key) {
			continue
		}
		env = append(env, pair)
	}
	return append(env, extra...)
}

func foreign(key string) bool {
	switch key {
	case "HOME", "PORT", "DEBUG", "NODE_OPTIONS", "NODE_ENV", "XDG_CONFIG_HOME":
		return true
	}
	for _, prefix := range []string{"INNGEST_", "JETSTEP_", "LOG_", "OPENAI_", "OTEL_"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
