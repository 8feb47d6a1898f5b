package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/urfave/cli/v3"
)

// alphaCommand holds what the original keeps below "alpha"; containers use
// "alpha doctor healthcheck" as their health probe (cli-config §9).
func alphaCommand(p process) *cli.Command {
	return &cli.Command{
		Name:   "alpha",
		Usage:  "commands that may change",
		Hidden: true,
		Commands: []*cli.Command{{
			Name:            "doctor",
			Aliases:         []string{"dr"},
			Usage:           "run all checks of a running server",
			HideHelpCommand: true,
			Flags:           healthFlags(),
			Action: func(ctx context.Context, cmd *cli.Command) error {
				return runChecks(ctx, p.stderr, targetOf(cmd))
			},
			Commands: []*cli.Command{{
				Name:            "healthcheck",
				Usage:           "succeed if the server on this machine is up",
				HideHelpCommand: true,
				Flags:           healthFlags(),
				Action: func(ctx context.Context, cmd *cli.Command) error {
					failures := targetOf(cmd).check(ctx)
					for _, failure := range failures {
						fmt.Fprintf(p.stderr, "healthcheck: %v\n", failure)
					}
					if len(failures) > 0 {
						return errReported
					}
					return nil
				},
			}},
		}},
	}
}

// runChecks prints one line for each check; today there is one.
func runChecks(ctx context.Context, out io.Writer, target healthTarget) error {
	failures := target.check(ctx)
	if len(failures) == 0 {
		fmt.Fprintln(out, "• healthcheck ... OK")
		return nil
	}
	fmt.Fprintln(out, "• healthcheck ... FAIL")
	for _, failure := range failures {
		fmt.Fprintf(out, "  %v\n", failure)
	}
	return errors.New("1 check(s) failed: healthcheck")
}

// healthFlags are local: a sub-command's own values must not be overruled by
// those of "doctor".
func healthFlags() []cli.Flag {
	env := func(name string) cli.ValueSourceChain { return cli.EnvVars("JETSTEP_"+name, "INNGEST_"+name) }
	return []cli.Flag{
		&cli.StringFlag{Name: "host", Local: true, Value: "127.0.0.1", Sources: env("HOST"), Usage: "host of the server"},
		&cli.IntFlag{Name: "port", Local: true, Value: 8288, Sources: env("PORT"), Usage: "port of the API"},
		&cli.IntFlag{Name: "connect-gateway-port", Local: true, Value: 8289, Sources: env("CONNECT_GATEWAY_PORT"), Usage: "port of the WebSocket gateway"},
		&cli.StringFlag{Name: "scheme", Local: true, Value: "http", Usage: "http or https"},
		&cli.DurationFlag{Name: "timeout", Local: true, Value: 5 * time.Second, Usage: "time for an answer"},
		// The server has no gateway yet, so asking for it is opt-in.
		&cli.BoolFlag{Name: "skip-connect-gateway", Local: true, Value: true, Usage: "check the API only"},
		&cli.BoolFlag{Name: "verbose", Local: true, HideDefault: true, Usage: "show the beginning of bad answers"},
	}
}

// healthTarget is a server to check.
type healthTarget struct {
	scheme, host      string
	port, gatewayPort int // gatewayPort 0 skips the gateway
	timeout           time.Duration
	verbose           bool
}

func targetOf(cmd *cli.Command) healthTarget {
	t := healthTarget{
		scheme:      cmd.String("scheme"),
		host:        cmd.String("host"),
		port:        cmd.Int("port"),
		gatewayPort: cmd.Int("connect-gateway-port"),
		timeout:     cmd.Duration("timeout"),
		verbose:     cmd.Bool("verbose"),
	}
	if cmd.Bool("skip-connect-gateway") {
		t.gatewayPort = 0
	}
	return t
}

// check asks all parts at the same time and returns what is wrong, in a fixed
// order.
func (t healthTarget) check(ctx context.Context) []error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	results := make([]error, 2)
	var all sync.WaitGroup
	all.Go(func() { results[0] = t.probe(ctx, "api", t.port, "/health") })
	if t.gatewayPort != 0 {
		all.Go(func() { results[1] = t.probe(ctx, "connect gateway", t.gatewayPort, "/ready") })
	}
	all.Wait()
	var failures []error
	for _, err := range results {
		if err != nil {
			failures = append(failures, err)
		}
	}
	return failures
}

// shownBody bounds how much of a bad answer is printed, in bytes.
const shownBody = 200

// probe is nil if the URL answers with exactly 200.
func (t healthTarget) probe(ctx context.Context, part string, port int, path string) error {
	url := t.scheme + "://" + net.JoinHostPort(t.host, strconv.Itoa(port)) + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", part, url, err)
	}
	// A redirect is an answer other than 200, not a reason to look elsewhere.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", part, url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	if !t.verbose {
		return fmt.Errorf("%s %s: status %s", part, url, resp.Status)
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, shownBody)) // as much as there is
	return fmt.Errorf("%s %s: status %s: %s", part, url, resp.Status, body)
}
