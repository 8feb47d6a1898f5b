package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"jetstep/cmd/jetstep/internal/config"
)

// fact is one thing to know about a server that has started.
type fact struct{ key, value string }

// facts are the same for the log and for the terminal.
func facts(opts config.Options, url, storage, history string, known []string) []fact {
	events := url + "/e/<any key>"
	if opts.Mode == config.Start {
		events = fmt.Sprintf("%s/e/<key>, %d accepted", url, len(opts.EventKeys))
	}
	return []fact{
		{"url", url},
		{"events", events},
		{"apps", appsFact(opts, known)},
		{"storage", storage},
		{"history", history},
	}
}

// appsFact names the apps that earlier processes left, known, and says where
// others come from.
func appsFact(opts config.Options, known []string) string {
	parts := append(append([]string{}, known...), opts.SDKURLs...)
	if opts.Discovery {
		parts = append(parts, "looking on local ports")
	}
	if len(parts) == 0 {
		return "register themselves"
	}
	return strings.Join(parts, ", ")
}

// storageFact says what is lost when: people find out too late otherwise.
func storageFact(opts config.Options, location string, temporary bool) string {
	switch {
	case !opts.NATS.Embedded():
		return location
	case temporary:
		return location + ", removed at exit (--persist keeps it)"
	case opts.Fsync == config.FsyncAlways:
		return location + ", synced on every write"
	}
	return location + ", synced every second"
}

// announce tells that the server is up, in one log record and, on a terminal,
// in a few lines.
func announce(log *slog.Logger, out io.Writer, opts config.Options, svc service, temporary bool) {
	list := facts(opts, svc.URL(), storageFact(opts, svc.Location(), temporary), svc.History(), svc.KnownApps())
	if drain := svc.Draining(); drain != "" {
		list = append(list, fact{"drain", drain})
	}
	attrs := []any{"mode", opts.Mode.String(), "version", versionString()}
	var banner strings.Builder
	fmt.Fprintf(&banner, "\njetstep %s %s is running\n\n", opts.Mode, versionString())
	for _, f := range list {
		attrs = append(attrs, f.key, f.value)
		fmt.Fprintf(&banner, "  %-8s %s\n", f.key, f.value)
	}
	log.Info("jetstep is running", attrs...)
	banner.WriteByte('\n')
	_, _ = io.WriteString(out, banner.String()) // the log has it, too
}
