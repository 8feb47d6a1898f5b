// Command jetstep runs event-driven durable functions on NATS JetStream, for
// applications that use the Inngest SDKs.
//
// The command owns what is outside of the server: arguments, exit codes,
// signals, the log's format, and the order in which parts are opened and
// closed (serve.go). It decides nothing about events or runs.
//
// Exit codes: 0 success, 1 usage or run error, 3 unknown command. A fatal
// error is exactly one line: on standard output if the options are wrong, a
// log record on standard error if the server cannot run (cli-config §2, §3).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // cron zones must not depend on the image

	"github.com/mattn/go-isatty"
	"github.com/urfave/cli/v3"

	"jetstep/cmd/jetstep/internal/config"
)

func main() {
	useUTC()
	os.Exit(run(context.Background(), currentProcess()))
}

// useUTC makes every time that is printed or computed without a zone UTC, for
// this process and its children. It does not set time.Local, which NATS reads
// in the background from before main on.
func useUTC() {
	_ = os.Setenv("TZ", "UTC") // cannot fail: the name and value are valid
}

// process is what the commands may know about their surroundings, so that
// tests can run them without being a process.
type process struct {
	args           []string // with the program's name
	environ        []string // "NAME=value"
	dir, home      string   // working and home directory; "" if unknown
	stdout, stderr io.Writer
	terminal       bool // standard output is a terminal
	colorLog       bool // standard error is one that wants colours
	signals        <-chan os.Signal
	exit           func(code int) // ends the process at once
}

func currentProcess() process {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	dir, _ := os.Getwd()        // unknown: no config file is searched there
	home, _ := os.UserHomeDir() // likewise
	return process{
		args:     os.Args,
		environ:  os.Environ(),
		dir:      dir,
		home:     home,
		stdout:   os.Stdout,
		stderr:   os.Stderr,
		terminal: isatty.IsTerminal(os.Stdout.Fd()),
		colorLog: isatty.IsTerminal(os.Stderr.Fd()) && os.Getenv("NO_COLOR") == "",
		signals:  signals,
		exit:     os.Exit,
	}
}

// env is the value of an environment variable, "" if it is not set.
func (p process) env(name string) string {
	for i := len(p.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// errReported ends a command whose failure the user has been told already.
var errReported = errors.New("failed")

// run executes the command line, until a signal comes, and returns the exit
// code.
func run(ctx context.Context, p process) int {
	ctx, stop := untilSignal(ctx, p.signals, p.exit)
	defer stop()
	err := rootCommand(p).Run(ctx, p.args)
	var coded cli.ExitCoder
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return 1
	case errors.As(err, &coded):
		fmt.Fprintln(p.stderr, err)
		return coded.ExitCode()
	}
	fmt.Fprintln(p.stderr, err)
	return 1
}

func rootCommand(p process) *cli.Command {
	root := &cli.Command{
		Name:      "jetstep",
		Usage:     "durable functions on NATS JetStream",
		Version:   versionString(),
		Writer:    p.stdout,
		ErrWriter: p.stderr,
		Flags:     globalFlags(),
		Commands:  []*cli.Command{serverCommand(p, config.Dev), serverCommand(p, config.Start), historyCommand(p), migrateCommand(p), benchCommand(p.stdout), versionCommand(p), doctorCommand(p), alphaCommand(p)},
		// Errors are printed, and turned into codes, by run.
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	_ = root.Walk(func(cmd *cli.Command) error { // the callback returns no error
		cmd.OnUsageError = usageError
		return nil
	})
	return root
}

// globalFlags work before and after the command's name (cli-config §3).
func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", HideDefault: true, Usage: "log JSON; always so when standard output is no terminal"},
		&cli.BoolFlag{Name: "verbose", HideDefault: true, Usage: "log level debug"},
		&cli.StringFlag{Name: "log-level", Aliases: []string{"l"}, Value: "info",
			Usage: "trace, debug, info, warn, error or emergency; LOG_LEVEL wins"},
	}
}

// usageError prints what is wrong with the command line to standard error, and
// the help to standard output.
func usageError(ctx context.Context, cmd *cli.Command, err error, isSubcommand bool) error {
	fmt.Fprintf(cmd.Root().ErrWriter, "Incorrect Usage: %v\n", err)
	show := func() error { return cli.ShowSubcommandHelp(cmd) }
	if !isSubcommand {
		show = func() error { return cli.ShowRootCommandHelp(cmd) }
	}
	return errors.Join(errReported, show())
}
