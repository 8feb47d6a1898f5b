package dial

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for uri, c := range map[string]struct {
		text  string
		check func(o *redis.UniversalOptions) bool
	}{
		"redis://":                        {text: "redis://127.0.0.1:6379/0"},
		"redis://h":                       {text: "redis://h:6379/0"},
		"REDIS://h:1/3":                   {text: "redis://h:1/3"},
		"valkey://h?db=4":                 {text: "redis://h:6379/4"},
		"redis://[::1]:7":                 {text: "redis://[::1]:7/0"},
		"rediss://h":                      {text: "rediss://h:6379/0", check: func(o *redis.UniversalOptions) bool { return o.TLSConfig.ServerName == "h" }},
		"redis+tls://h?skip_verify=true":  {text: "rediss://h:6379/0", check: func(o *redis.UniversalOptions) bool { return o.TLSConfig.InsecureSkipVerify }},
		"valkeys://h":                     {text: "rediss://h:6379/0"},
		"unix:///tmp/s.sock?db=2":         {text: "unix:///tmp/s.sock?db=2"},
		"unix://u:p@/tmp/s.sock":          {text: "unix:///tmp/s.sock?db=0", check: user("u", "p")},
		"redis://u:p%40s@h":               {text: "redis://h:6379/0", check: user("u", "p@s")},
		"redis://:p@h":                    {text: "redis://h:6379/0", check: user("", "p")},
		"redis+cluster://a,b:2,c":         {text: "redis://a:6379,b:2,c:6379", check: func(o *redis.UniversalOptions) bool { return o.IsClusterMode }},
		"redis+cluster://a":               {text: "redis://a:6379", check: func(o *redis.UniversalOptions) bool { return o.IsClusterMode }},
		"redis://a?addr=b&addr=c:3":       {text: "redis://a:6379,b:6379,c:3", check: func(o *redis.UniversalOptions) bool { return o.IsClusterMode }},
		"rediss+cluster://a,b":            {text: "rediss://a:6379,b:6379", check: func(o *redis.UniversalOptions) bool { return o.TLSConfig.ServerName == "" }},
		"redis://s?master_set=m":          {text: "redis://s:26379/0?master_set=m", check: func(o *redis.UniversalOptions) bool { return !o.IsClusterMode }},
		"redis://a,b/1?master_name=m":     {text: "redis://a:26379,b:26379/1?master_set=m"},
		"redis://u:p@s/?master_set=m":     {text: "redis://s:26379/0?master_set=m", check: sentinel("u", "p", "u", "p")},
		"redis+sentinel://s?master_set=m": {text: "redis://s:26379/0?master_set=m"},
		"redis+sentinel://a:b@s?master_set=m&username=u&password=p":                     {text: "redis://s:26379/0?master_set=m", check: sentinel("u", "p", "a", "b")},
		"redis://u:p@s?master_set=m&sentinel_username=a&sentinel_password=b":            {text: "redis://s:26379/0?master_set=m", check: sentinel("u", "p", "a", "b")},
		"redis://h?dial_timeout=2s&read_timeout=3&max_retries=0&pool_size=7&protocol=2": {text: "redis://h:6379/0", check: numbers},
		"redis://h?client_name=me&client_cache=0&idle_timeout=1m":                       {text: "redis://h:6379/0", check: func(o *redis.UniversalOptions) bool { return o.ClientName == "me" && o.ConnMaxIdleTime == time.Minute }},
	} {
		target, err := Parse(uri)
		require.NoError(t, err, uri)
		require.Equal(t, c.text, target.String(), uri)
		if c.check != nil {
			require.True(t, c.check(&target.options), uri)
		}
		require.NotContains(t, target.String(), "p@")
	}
}

func user(name, password string) func(*redis.UniversalOptions) bool {
	return func(o *redis.UniversalOptions) bool { return o.Username == name && o.Password == password }
}

func sentinel(name, password, sentinelName, sentinelPassword string) func(*redis.UniversalOptions) bool {
	return func(o *redis.UniversalOptions) bool {
		return o.Username == name && o.Password == password && o.SentinelUsername == sentinelName && o.SentinelPassword == sentinelPassword
	}
}

func numbers(o *redis.UniversalOptions) bool {
	return o.DialTimeout == 2*time.Second && o.ReadTimeout == 3*time.Second && o.MaxRetries == -1 && o.PoolSize == 7 && o.Protocol == 2
}

// TestParseRefuses: what is wrong is said, and never the password.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"":                                            "not a URL",
		"secret":                                      "not a URL",
		"http://secret@h":                             "begins with none of",
		"redis+ssh://secret@h":                        "scheme redis+ssh is not known",
		"redis://u:sec%zzret@h":                       "not a URL",
		"redis://u:se/cret@h":                         "not of the form host:port",
		"redis://u:secret@h:port":                     "not of the form host:port",
		"redis://u:secret@h:99999":                    "h has no valid port",
		"redis://u:secret@h/one":                      "not the number of a database",
		"redis://u:secret@h?max_retries=some":         "max_retries is not a whole number",
		"redis://u:secret@h?dial_timeout=x":           "dial_timeout is not a duration",
		"redis://u:secret@h?skip_verify=x":            "skip_verify is not true or false",
		"redis://u:secret@h?passwort=secret":          "not known: passwort",
		"redis+cluster://secret@h/3":                  "a cluster has one database",
		"redis+cluster://h?master_set=m":              "a cluster has no master_set",
		"redis+sentinel://u:secret@h":                 "master_set is missing",
		"unix://u:secret@path":                        "absolute path",
		"unix:///s?x=secret":                          "not known: x",
		"redis://h?tls_ca_file=/x":                    "the URL is not rediss://",
		"rediss://h?tls_ca_file=/not/there":           "tls_ca_file: open /not/there",
		"rediss://h?tls_cert_file=/a":                 "belong together",
		"rediss://h?tls_cert_file=/a&tls_key_file=/b": "tls_cert_file: open /a",
	} {
		_, err := Parse(uri)
		require.ErrorContains(t, err, want, uri)
		require.NotContains(t, err.Error(), "secret", uri)
		require.NotContains(t, err.Error(), "cret", uri)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	_, err := Parse("rediss://h?tls_ca_file=" + empty)
	require.ErrorContains(t, err, "no certificate in")
}

func TestUsable(t *testing.T) {
	t.Parallel()
	for info, want := range map[string]string{
		"":                                        "",
		"redis_version:6.2.0\r\nrole:master\r\n":  "",
		"redis_version:7.0.15\r\n":                "",
		"redis_version:unknown\r\n":               "",
		"redis_version:6.0.16\r\n":                "version 6.0.16 is older than 6.2",
		"redis_version:5\r\n":                     "version 5 is older than 6.2",
		"redis_version:7.2.4\r\nloading:1\r\n":    "loading its data",
		"redis_version:7.2.4\r\nrole:slave\r\n":   "it is a replica",
		"role:slave\r\ncluster_enabled:1\r\n":     "",
		"# Server\r\nredis_version:8.0.0\r\n\r\n": "",
	} {
		err := usable(readInfo(info))
		if want == "" {
			require.NoError(t, err, info)
			continue
		}
		require.ErrorContains(t, err, want)
	}
}
