package dial

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the URL's that were not read yet; err is the first that is wrong.
// No error has a value: it may be a password that stands in the wrong place.
type options struct {
	left url.Values
	err  error
}

// text is an option, by the first of its names that is given.
func (q *options) text(names ...string) string {
	value := ""
	for _, name := range names {
		if value == "" {
			value = q.left.Get(name)
		}
		delete(q.left, name)
	}
	return value
}

func (q *options) fail(name, form string) {
	if q.err == nil {
		q.err = fmt.Errorf("redis: the option %s is not %s", name, form)
	}
}

func (q *options) number(into *int, name string) {
	text := q.text(name)
	if text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		q.fail(name, "a whole number")
		return
	}
	*into = n
}

// duration reads a duration as Go writes it, or whole seconds.
func (q *options) duration(into *time.Duration, names ...string) {
	text := q.text(names...)
	if text == "" {
		return
	}
	if n, err := strconv.Atoi(text); err == nil {
		*into = time.Duration(n) * time.Second
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		q.fail(names[0], "a duration, such as 5s")
		return
	}
	*into = d
}

func (q *options) flag(into *bool, name string) {
	text := q.text(name)
	if text == "" {
		return
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		q.fail(name, "true or false")
		return
	}
	*into = on
}

// read reads the options that all kinds of targets have.
func (t *Target) read(q *options) error {
	o := &t.options
	q.number(&o.DB, "db")
	q.number(&o.Protocol, "protocol")
	o.ClientName = q.text("client_name")
	t.readRetries(q)
	q.duration(&o.DialTimeout, "dial_timeout")
	q.duration(&o.ReadTimeout, "read_timeout")
	q.duration(&o.WriteTimeout, "write_timeout")
	q.number(&o.PoolSize, "pool_size")
	q.duration(&o.PoolTimeout, "pool_timeout")
	q.number(&o.MinIdleConns, "min_idle_conns")
	q.number(&o.MaxIdleConns, "max_idle_conns")
	q.number(&o.MaxActiveConns, "max_active_conns")
	q.duration(&o.ConnMaxIdleTime, "conn_max_idle_time", "idle_timeout")
	q.duration(&o.ConnMaxLifetime, "conn_max_lifetime", "max_conn_age")
	q.flag(&t.insecure, "skip_verify")
	t.tls = tlsFiles{authority: q.text("tls_ca_file"), certificate: q.text("tls_cert_file"), key: q.text("tls_key_file")}
	q.text("client_cache") // of the original's client; there is no such cache here
	if q.err != nil {
		return q.err
	}
	if o.IsClusterMode && o.DB != 0 {
		return errors.New("redis: a cluster has one database: 0")
	}
	if len(q.left) > 0 {
		var names []string
		for name := range q.left {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("redis: the URL has options that are not known: %s", strings.Join(names, ", "))
	}
	return nil
}

// readRetries: no retries is -1 for the client, and 0 for people.
func (t *Target) readRetries(q *options) {
	n := t.options.MaxRetries
	q.number(&n, "max_retries")
	if n <= 0 {
		n = -1
	}
	t.options.MaxRetries = n
	q.duration(&t.options.MinRetryBackoff, "min_retry_backoff")
	q.duration(&t.options.MaxRetryBackoff, "max_retry_backoff")
}
