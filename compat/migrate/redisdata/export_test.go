package redisdata

import "jetstep/compat/redis/format"

// Known tells whether a kind of keys is more than derived from others.
func Known(template string) bool {
	_, ok := parts[template]
	return ok
}

// Transient tells whether a key ends by itself.
func Transient(name string) bool {
	p, _, ok := format.Identify(name)
	return ok && parts[p.Template] == isTransient
}
