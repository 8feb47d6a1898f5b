package partition

import "jetstep/function"

// keyed lists the key expressions of the limits that jobs wait for: those of
// step limits, of the limit on runs, and of the throttle, each once, with their
// hashes as the gate looks them up.
func keyed(fn *function.Function) []keyExpression {
	var list []keyExpression
	add := func(text, hash string) {
		if text == "" {
			return
		}
		for _, have := range list {
			if have.hash == hash {
				return
			}
		}
		list = append(list, keyExpression{text, hash})
	}
	if fn.Concurrency != nil {
		for _, limit := range fn.Concurrency.Steps {
			add(limit.Key, limit.Hash)
		}
		for _, limit := range fn.Concurrency.Runs {
			add(limit.Key, limit.ID)
		}
	}
	if fn.Throttle != nil {
		add(fn.Throttle.Key, function.ExpressionHash(fn.Throttle.Key))
	}
	return list
}

type keyExpression struct{ text, hash string }
