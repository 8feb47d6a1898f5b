package script

import (
	"context"
	"io/fs"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script.
type Script struct {
	source string
	sent   *redis.Script
}

// New is a script of that source.
func New(source string) *Script { return &Script{source, redis.NewScript(source)} }

// Run does what the script does.
func (s *Script) Run(ctx context.Context, client redis.Scripter, keys []string, args ...any) *redis.Cmd {
	return s.sent.Run(ctx, client, keys, args...)
}

// On is the script as an operation.
func (s *Script) On(keys []string, args ...any) Operation {
	return Operation{Script: s, Keys: keys, Args: args}
}

// Source is the text of embedded files lua/<name>.lua, one after the other: what
// several scripts share is a file of its own. They are there, or nothing is.
func Source(files fs.FS, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		text, err := fs.ReadFile(files, "lua/"+name+".lua")
		if err != nil {
			panic(err)
		}
		b.Write(text)
	}
	return b.String()
}

// Operation is a script with what it is asked.
type Operation struct {
	Script *Script
	Keys   []string
	Args   []any
	// Always tells that a [Chain] goes on, whatever it answers.
	Always bool
}

// Run does an operation.
func (o Operation) Run(ctx context.Context, client redis.Scripter) *redis.Cmd {
	return o.Script.Run(ctx, client, o.Keys, o.Args...)
}

// SideBySide does operations in one round trip, each by itself, and gives their
// answers. In a cluster they happen in no order.
func SideBySide(ctx context.Context, client redis.UniversalClient, operations ...Operation) []*redis.Cmd {
	commands := make([]*redis.Cmd, len(operations))
	if len(operations) == 1 {
		commands[0] = operations[0].Run(ctx, client)
		return commands
	}
	// Each command has its own answer.
	_, _ = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, o := range operations {
			commands[i] = o.Script.sent.EvalSha(ctx, p, o.Keys, o.Args...)
		}
		return nil
	})
	for i, o := range operations {
		if redis.HasErrorPrefix(commands[i].Err(), "NOSCRIPT") {
			commands[i] = o.Run(ctx, client)
		}
	}
	return commands
}
