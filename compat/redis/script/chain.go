package script

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/chain.lua
var sources embed.FS

// Chain does operations of some scripts at one moment, one after the other, as long
// as they succeed. It is safe for concurrent use.
type Chain struct {
	client redis.UniversalClient
	places map[*Script]int // in the joint script, from 1 on
	joint  *Script
}

// NewChain is a chain of operations of these scripts, whose keys are of one hash tag.
func NewChain(client redis.UniversalClient, scripts ...*Script) *Chain {
	c := &Chain{client: client, places: map[*Script]int{}}
	var b strings.Builder
	b.WriteString("local operations = {}\n")
	for i, s := range scripts {
		c.places[s] = i + 1
		fmt.Fprintf(&b, "operations[%d] = function(KEYS, ARGV)\n%s\nend\n", i+1, s.source)
	}
	c.joint = New(b.String() + Source(sources, "chain"))
	return c
}

// Do does the operations in order, up to the first that answers neither 0 nor a
// list, unless it says [Operation.Always]; done tells that it came to the end.
func (c *Chain) Do(ctx context.Context, operations ...Operation) (answers []any, done bool, err error) {
	if len(operations) == 1 {
		answer, err := operations[0].Run(ctx, c.client).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, false, err
		}
		answers = []any{answer}
	} else {
		keys, args := c.combine(operations)
		if answers, err = c.joint.Run(ctx, c.client, keys, args...).Slice(); err != nil {
			return nil, false, err
		}
	}
	return answers, len(answers) == len(operations) && goesOn(operations[len(operations)-1], answers[len(answers)-1]), nil
}

// goesOn tells whether a chain goes on after an operation with that answer.
func goesOn(o Operation, answer any) bool {
	if _, list := answer.([]any); list || o.Always {
		return true
	}
	code, ok := answer.(int64)
	return ok && code == 0
}

// combine are the keys and arguments of the joint script: how many operations; for
// each its place, how many keys and arguments it has, and 1 to go on whatever it
// answers; then the arguments of all.
func (c *Chain) combine(operations []Operation) (keys []string, args []any) {
	nKeys, nArgs := 0, 1+4*len(operations)
	for _, o := range operations {
		nKeys, nArgs = nKeys+len(o.Keys), nArgs+len(o.Args)
	}
	keys, args = make([]string, 0, nKeys), make([]any, 0, nArgs)
	args = append(args, len(operations))
	for _, o := range operations {
		args = append(args, c.places[o.Script], len(o.Keys), len(o.Args), o.Always)
		keys = append(keys, o.Keys...)
	}
	for _, o := range operations {
		args = append(args, o.Args...)
	}
	return keys, args
}

// Across is a chain of operations whose keys are of different hash tags, which only
// a server that has them all can do as one.
type Across struct {
	chain *Chain
	apart atomic.Bool // the keys are on several servers
}

// NewAcross is a chain of operations of these scripts.
func NewAcross(client redis.UniversalClient, scripts ...*Script) *Across {
	a := &Across{chain: NewChain(client, scripts...)}
	_, cluster := client.(*redis.ClusterClient)
	a.apart.Store(cluster)
	return a
}

// Do is Chain.Do where one server has all keys. Elsewhere nothing is done, which is
// no error.
func (a *Across) Do(ctx context.Context, operations ...Operation) (answers []any, done bool, err error) {
	if a.apart.Load() {
		return nil, false, nil
	}
	answers, done, err = a.chain.Do(ctx, operations...)
	if redis.HasErrorPrefix(err, "CROSSSLOT") { // a proxy hides a cluster
		a.apart.Store(true)
		return nil, false, nil
	}
	return answers, done, err
}
