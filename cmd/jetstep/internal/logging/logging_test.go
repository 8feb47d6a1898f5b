package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLevelPrecedence(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		settings Settings
		want     slog.Level
	}{
		"default":                 {Settings{}, slog.LevelInfo},
		"verbose":                 {Settings{Verbose: true}, slog.LevelDebug},
		"flag beats verbose":      {Settings{Verbose: true, Level: "error"}, slog.LevelError},
		"environment beats flags": {Settings{Verbose: true, Level: "error", EnvLevel: "trace"}, LevelTrace},
		"unknown word":            {Settings{Level: "loud", Verbose: true}, slog.LevelInfo},
		"unknown variable":        {Settings{EnvLevel: "loud", Level: "error"}, slog.LevelInfo},
		"upper case":              {Settings{Level: "WARN"}, slog.LevelWarn},
		"emergency":               {Settings{Level: "emergency"}, LevelEmergency},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.settings.Terminal = true
			for _, handler := range []string{"json", "text", "dev"} {
				c.settings.Handler = handler
				log := New(&bytes.Buffer{}, c.settings)
				require.True(t, log.Enabled(context.Background(), c.want))
				require.False(t, log.Enabled(context.Background(), c.want-1))
			}
		})
	}
}

func TestHandlerChoice(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		settings Settings
		want     string // beginning of the line
	}{
		"terminal":              {Settings{Terminal: true}, "["},
		"dev":                   {Settings{Terminal: true, Handler: "dev"}, "["},
		"unknown":               {Settings{Terminal: true, Handler: "xml"}, "["},
		"text":                  {Settings{Terminal: true, Handler: "text"}, "time="},
		"txt":                   {Settings{Terminal: true, Handler: "TXT"}, "time="},
		"json":                  {Settings{Terminal: true, Handler: "json"}, "{"},
		"--json":                {Settings{Terminal: true, Handler: "text", JSON: true}, "{"},
		"no terminal":           {Settings{}, "{"},
		"no terminal, but text": {Settings{Handler: "text"}, "{"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			New(&out, c.settings).Info("hello")
			require.Truef(t, strings.HasPrefix(out.String(), c.want), "got %s", out.String())
			require.Equal(t, 1, strings.Count(out.String(), "\n"))
		})
	}
}

func TestJSONShape(t *testing.T) {
	t.Parallel()
	names := map[slog.Level]string{
		LevelTrace: "TRACE", slog.LevelDebug: "DEBUG", slog.LevelInfo: "INFO", LevelNotice: "NOTICE",
		slog.LevelWarn: "WARN", slog.LevelError: "ERROR", LevelEmergency: "EMERGENCY", -100: "TRACE", 5: "WARN", 100: "EMERGENCY",
	}
	for level, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			s := Settings{EnvLevel: "trace"}
			// New refuses levels below trace, so log through the handler.
			h := New(&out, s).Handler()
			r := slog.NewRecord(time.Now(), level, "m", 0)
			r.Add("k", "v", "level", "mine", "took", 1500*time.Millisecond)
			require.NoError(t, h.WithGroup("g").Handle(context.Background(), r))
			var line struct {
				Time  time.Time
				Level string
				Msg   string
				G     map[string]string
			}
			require.NoError(t, json.Unmarshal(out.Bytes(), &line))
			require.Equal(t, name, line.Level)
			require.Equal(t, "m", line.Msg)
			require.False(t, line.Time.IsZero())
			require.Equal(t, map[string]string{"k": "v", "level": "mine", "took": "1.5s"}, line.G)
		})
	}
}

func TestTextLevelNames(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	New(&out, Settings{Terminal: true, Handler: "text"}).Log(context.Background(), LevelNotice, "m")
	require.Contains(t, out.String(), "level=NOTICE msg=m")
}

func TestDevLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 15, 4, 5, 6e6, time.FixedZone("", 3600))
	cases := map[string]struct {
		with  func(slog.Handler) slog.Handler
		level slog.Level
		msg   string
		attrs []slog.Attr
		color bool
		want  string
	}{
		"plain": {msg: "hello", want: "[14:04:05.006] INF hello\n"},
		"attributes": {level: slog.LevelError, msg: "failed", attrs: []slog.Attr{
			slog.String("a", "b"), slog.Int("n", 1), slog.String("quoted", "x y"), slog.String("empty", ""),
			slog.Any("error", errors.New("no way")), slog.Time("at", at), {}},
			want: "[14:04:05.006] ERR failed a=b n=1 quoted=\"x y\" empty=\"\" error=\"no way\" at=2026-01-02T14:04:05.006Z\n"},
		"groups": {msg: "m", attrs: []slog.Attr{slog.Group("g", "a", 1), slog.Group("", "b", 2)},
			with: func(h slog.Handler) slog.Handler {
				return h.WithAttrs([]slog.Attr{slog.Int("x", 1)}).WithGroup("").WithGroup("p").WithAttrs([]slog.Attr{slog.Int("y", 2)})
			}, want: "[14:04:05.006] INF m x=1 p.y=2 p.g.a=1 p.b=2\n"},
		"one line": {msg: "a\nb", want: "[14:04:05.006] INF \"a\\nb\"\n"},
		"colour":   {color: true, msg: "m", level: slog.LevelWarn, want: "\x1b[90m[14:04:05.006]\x1b[0m \x1b[33mWRN\x1b[0m m\n"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			var h slog.Handler = newDevHandler(&out, LevelTrace, c.color)
			if c.with != nil {
				h = c.with(h)
			}
			r := slog.NewRecord(at, c.level, c.msg, 0)
			r.AddAttrs(c.attrs...)
			require.NoError(t, h.Handle(context.Background(), r))
			require.Equal(t, c.want, out.String())
		})
	}
}
