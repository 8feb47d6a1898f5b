// Package logging makes the process's logger: levels, the choice of format,
// and the formats themselves (cli-config §3).
//
// One record is one line. In containers, where standard output is no terminal,
// lines are always JSON with time, level and msg, because log collectors rely
// on that shape. The package keeps no global state and reads no environment:
// what it may depend on comes in as Settings.
package logging

import (
	"io"
	"log/slog"
	"strings"
)

// Levels beyond those of slog, with the numbers of the original.
const (
	LevelTrace     slog.Level = -8
	LevelNotice    slog.Level = 2
	LevelEmergency slog.Level = 12
)

// Settings is what decides about format and level.
type Settings struct {
	JSON     bool   // --json
	Verbose  bool   // --verbose
	Level    string // --log-level, "" if not given
	EnvLevel string // LOG_LEVEL
	Handler  string // LOG_HANDLER
	Terminal bool   // standard output is a terminal
	Color    bool   // the log may be coloured
}

// New makes the logger. Unknown words for level and format mean info and the
// developers' format.
func New(w io.Writer, s Settings) *slog.Logger {
	level := s.level()
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	switch s.handler() {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts))
	case "txt", "text":
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(newDevHandler(w, level, s.Color))
}

// level: LOG_LEVEL beats --log-level, which beats --verbose.
func (s Settings) level() slog.Level {
	switch {
	case s.EnvLevel != "":
		return ParseLevel(s.EnvLevel)
	case s.Level != "":
		return ParseLevel(s.Level)
	case s.Verbose:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// handler: without a terminal it is JSON, even if LOG_HANDLER says otherwise.
func (s Settings) handler() string {
	if s.JSON || !s.Terminal {
		return "json"
	}
	return strings.ToLower(s.Handler)
}

// ParseLevel reads a level's name; an unknown word means info.
func ParseLevel(word string) slog.Level {
	for _, l := range levels {
		if strings.EqualFold(word, l.name) {
			return l.level
		}
	}
	return slog.LevelInfo
}

// levels in rising order: the names in JSON, and short ones of equal width
// with the colour (ANSI) of the developers' format.
var levels = []struct {
	level       slog.Level
	name, short string
	color       string
}{
	{LevelTrace, "TRACE", "TRC", "90"},
	{slog.LevelDebug, "DEBUG", "DBG", "36"},
	{slog.LevelInfo, "INFO", "INF", "32"},
	{LevelNotice, "NOTICE", "NTC", "34"},
	{slog.LevelWarn, "WARN", "WRN", "33"},
	{slog.LevelError, "ERROR", "ERR", "31"},
	{LevelEmergency, "EMERGENCY", "EMG", "35"},
}

// rank is the index in levels of the highest level not above l.
func rank(l slog.Level) int {
	i := 0
	for i+1 < len(levels) && levels[i+1].level <= l {
		i++
	}
	return i
}

// readable writes NOTICE where slog would write INFO+2, and 1.5s where its JSON
// would have a number of nanoseconds.
func readable(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.StringValue(a.Value.Duration().String())
	}
	if len(groups) == 0 && a.Key == slog.LevelKey {
		if l, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(levels[rank(l)].name)
		}
	}
	return a
}
