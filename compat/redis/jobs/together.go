package jobs

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// operation is a script with its arguments.
type operation struct {
	script *redis.Script
	keys   []string
	args   []any
}

// combinable are the scripts that scriptTogether has, by their place in it.
var combinable = []*redis.Script{scriptEnqueue, scriptDequeue, scriptRequeue}

// scriptTogether does several operations as one: sent by its hash, unlike scripts
// within a transaction, of which one that the server has forgotten would be left
// out alone.
var scriptTogether = redis.NewScript(together("enqueue", "dequeue", "requeue"))

// together is a script of others, each a function of its keys and arguments.
// ARGV: how many operations, then for each its number in the list, how many keys
// and how many arguments it has; then the arguments of all.
func together(names ...string) string {
	var b strings.Builder
	b.WriteString("local operations = {}\n")
	for i, name := range names {
		fmt.Fprintf(&b, "operations[%d] = function(KEYS, ARGV)\n%s%s%s\nend\n", i+1, source("earliest"), source("pointers"), source(name))
	}
	b.WriteString(source("together"))
	return b.String()
}

// exec does operations at one moment and gives their answers in order.
func exec(ctx context.Context, client redis.Scripter, operations []operation) ([]int, error) {
	if len(operations) == 1 {
		o := operations[0]
		code, err := o.script.Run(ctx, client, o.keys, o.args...).Int()
		return []int{code}, err
	}
	keys, args := combine(operations)
	answers, err := scriptTogether.Run(ctx, client, keys, args...).Int64Slice()
	if err != nil {
		return nil, err
	}
	codes := make([]int, len(answers))
	for i, code := range answers {
		codes[i] = int(code)
	}
	return codes, nil
}

// combine are the keys and arguments of scriptTogether.
func combine(operations []operation) (keys []string, args []any) {
	args = append(args, len(operations))
	for _, o := range operations {
		for i, script := range combinable {
			if script == o.script {
				args = append(args, i+1)
			}
		}
		args = append(args, len(o.keys), len(o.args))
		keys = append(keys, o.keys...)
	}
	for _, o := range operations {
		args = append(args, o.args...)
	}
	return keys, args
}
