package redisdata

import (
	"jetstep/compat/migrate"
	"jetstep/compat/redis/format"
)

// part is what a kind of keys is for the migration.
type part int

const (
	isDerived   part = iota // follows from other keys
	isTransient             // ends by itself
	isRun
	isOfRun // of the run whose metadata say so
	isClaim
	isPause
	isSingleton
	isBatch
	isBatched
	isThrottle
	isRateLimit
	isCapacity
	isUsage
	isAside // was set aside already
)

// parts are the kinds of keys that are not derived, by their template; see
// TestEveryPattern.
var parts = map[string]part{
	"{estate:<run>}:metadata:<run>":                       isRun,
	"{estate:<run>}:bulk-events:<function>:<run>":         isOfRun,
	"{estate:<run>}:actions:<function>:<run>":             isOfRun,
	"{estate:<run>}:stack:<run>":                          isOfRun,
	"{estate:<run>}:pending:<function>:<run>":             isOfRun,
	"{estate:<run>}:inputs:<function>:<run>":              isOfRun,
	"{estate:<run>}:defers-meta:<function>:<run>":         isOfRun,
	"{estate:<run>}:defers-input:<function>:<run>":        isOfRun,
	"{estate:<run>}:defers-control-meta:<function>:<run>": isOfRun,

	"{estate:<account>}:key:<...>":          isClaim,
	"{estate:<account>}:key:<...>:finalize": isTransient,

	"{estate}:pauses:<pause>":      isPause,
	"{estate}:pause-block:<pause>": isTransient,

	"{queue}:queue:seen:<item>":       isTransient,
	"{queue}:queue:item:peek:<item>":  isTransient,
	format.RoleSequentialKey:          isTransient,
	format.RoleScavengerKey:           isTransient,
	format.RoleInstrumentsKey:         isTransient,
	format.RoleLatencyKey:             isTransient,
	format.DebounceMoving:             isTransient,
	"{queue}:migrate-lock:<function>": isTransient,
	"{queue}:backlog:<...>:lease":     isTransient,

	"{queue}:singleton:<function>":        isSingleton,
	"{queue}:singleton:<function>-<hash>": isSingleton,

	"{queue:<function>}:batches:<batch>":    isBatch,
	"{queue:<function>}:batch_idem:<event>": isBatched,

	"{cs}:a:<account>:throttle:f:<function><limit>": isThrottle,
	"{cs}:a:<account>:rl:f:<function><limit>":       isRateLimit,
	"{cs}:a:<account>:sem:<...>:cap":                isCapacity,
	"{cs}:a:<account>:sem:<...>:usage:<value>":      isUsage,

	format.ConstraintAccountsKey:                           isTransient,
	"{cs}:a:<account>:leaseq":                              isTransient,
	"{cs}:a:<account>:ld:<lease>":                          isTransient,
	"{cs}:a:<account>:rs:<request>":                        isTransient,
	"{cs}:a:<account>:concurrency:<scope>:<scoped><limit>": isTransient,
	"{cs}:a:<account>:sem:ik:<operation>:<...>":            isTransient,
	"{cs}:a:<account>:ik:op:<operation>:<hash>":            isTransient,
	"{cs}:a:<account>:ik:cc:<hash>":                        isTransient,

	"{<environment>}:conns":                       isTransient,
	"{<environment>}:conns_appid:<app>":           isTransient,
	"{<environment>}:groups":                      isTransient,
	"{<environment>}:groups:<hash>":               isTransient,
	"{<environment>}:request-lease:<request>":     isTransient,
	"{<environment>}:buffered-response:<request>": isTransient,
	"{<environment>}:worker-capacity:<hash>":      isTransient,
	"{<environment>}:worker-requests-set:<hash>":  isTransient,
	"{<environment>}:request-worker:<request>":    isTransient,
	format.GatewaysKey:                            isTransient,

	"{estate}:jetstep:aside:<lease>:<...>": isAside,
	"{queue}:jetstep:aside:<lease>:<...>":  isAside,
}

// hashes are read field by field, after the keys: queue items, debounces, and what
// was set aside.
var hashes = []string{format.DebouncesKey, format.ItemsKey, format.SetAsideKey, format.PausesAsideKey}

// counted is an item that stands for many things of a kind.
func counted(k migrate.Kind, name string, n int) migrate.Item {
	return migrate.Item{ID: migrate.ID{Kind: k, Key: name}, Count: n}
}
