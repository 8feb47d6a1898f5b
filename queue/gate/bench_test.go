package gate

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"jetstep/function"
	"jetstep/queue/gcra"
	"jetstep/state"
)

// backlog fills a gate with held jobs, spread over keys, and all slots taken.
func backlog(b *testing.B, keys, jobs int) (g *Gate, plan *Plan, flying []Job) {
	fn := byKey(1, 100)
	fn.ID = uuid.UUID{1}
	g, plan = New(func(state.GateKey, gcra.Limit) float64 { return 0 }), PlanOf(&fn)
	values := make([][]state.FlowKey, keys)
	for i := range values {
		values[i] = []state.FlowKey{{Expr: function.Hash(keyed), Value: function.Hash(fmt.Sprint(i))}}
	}
	known := map[Ref]Job{}
	for n := range jobs + 100 {
		j := Job{
			Ref:   Ref{Run: ulid.ULID{12: byte(n >> 24), 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}, Job: "j"},
			Score: int64(n), Start: true, Keys: values[n%keys],
		}
		known[j.Ref] = j
		g.Offer(plan, &j)
	}
	for {
		a, ok := g.Next(1)
		if !ok {
			break
		}
		flying = append(flying, known[a.Ref])
	}
	if g.Len() != jobs {
		b.Fatalf("%d jobs are held", g.Len())
	}
	return g, plan, flying
}

// BenchmarkAdmit ends a job, which admits another, and offers one again: with
// 1,000 keys and 100,000 held jobs.
func BenchmarkAdmit(b *testing.B) {
	g, plan, flying := backlog(b, 1000, 100_000)
	byRun := map[Ref]Job{}
	for _, j := range flying {
		byRun[j.Ref] = j
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := range b.N {
		j := flying[n%len(flying)]
		g.Finish(j.Ref)
		a, ok := g.Next(int64(n))
		if !ok {
			b.Fatal("nothing is admitted")
		}
		j.Score, j.Due = int64(200_000+n), int64(n)
		g.Offer(plan, &j)
		flying[n%len(flying)].Ref = a.Ref
	}
}

// BenchmarkPass is a job that no limit holds back.
func BenchmarkPass(b *testing.B) {
	fn := byKey(1000, 1000)
	g, plan := New(func(state.GateKey, gcra.Limit) float64 { return 0 }), PlanOf(&fn)
	j := jobOf("a", 1)
	b.ReportAllocs()
	for range b.N {
		g.Offer(plan, &j)
		if _, ok := g.Next(1); !ok {
			b.Fatal("held")
		}
		g.Finish(j.Ref)
	}
}
