package bus

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"jetstep/function"
)

// appWith makes an app with the functions, whose ids come from their slugs.
func appWith(name string, functions ...function.Function) *function.App {
	for i := range functions {
		functions[i].ID = uuid.NewSHA1(uuid.Nil, []byte(functions[i].Slug))
	}
	return &function.App{ID: uuid.NewSHA1(uuid.Nil, []byte(name)), Name: name, URL: "http://" + name, Functions: functions}
}

func triggeredBy(slug string, triggers ...function.Trigger) function.Function {
	return function.Function{Slug: slug, Triggers: triggers}
}

func on(event string) function.Trigger { return function.Trigger{Event: event} }

func catalogOf(apps ...*function.App) *Catalog {
	return NewCatalog(apps)
}

func slugs(list []*Registered) []string {
	found := make([]string, 0, len(list))
	for _, fn := range list {
		found = append(found, fn.Slug)
	}
	slices.Sort(found)
	return found
}

func TestTriggered(t *testing.T) {
	t.Parallel()
	c := catalogOf(
		appWith("one",
			triggeredBy("exact", on("app/user.created")),
			triggeredBy("slash", on("app/*")),
			triggeredBy("dot", on("app/user.*")),
			triggeredBy("both", on("app/user.created"), on("app/*"), on("app/user.*")),
			triggeredBy("cron", function.Trigger{Cron: "* * * * *"}),
		),
		appWith("two",
			triggeredBy("other", on("shop/order")),
			triggeredBy("no wildcard", on("app/us*")),
			triggeredBy("all", on("*")),
		),
	)
	for event, want := range map[string][]string{
		"app/user.created":     {"both", "dot", "exact", "slash"},
		"app/user.deleted":     {"both", "dot", "slash"},
		"app/user.a.b":         {"both", "dot", "slash"},
		"app/order":            {"both", "slash"},
		"app/":                 {"both", "slash"},
		"app":                  {},
		"app/us*":              {"both", "no wildcard", "slash"},
		"shop/order":           {"other"},
		"shop/order.made":      {},
		"":                     {},
		"*":                    {"all"},
		"other/app/user.x":     {},
		"APP/user.created":     {},
		"app/user.created.now": {"both", "dot", "slash"},
	} {
		require.Equal(t, want, slugs(c.Triggered(event)), "%q", event)
	}
	require.Equal(t, []string{"cron"}, slugs(c.Crons()))
}

// Triggered finds by index what each trigger says by itself.
func TestTriggeredAgreesWithTriggers(t *testing.T) {
	t.Parallel()
	const alphabet = "ab/.*"
	word := func() string {
		b := make([]byte, 1+rand.IntN(6))
		for i := range b {
			b[i] = alphabet[rand.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range 200 {
		var functions []function.Function
		for i := range 30 {
			functions = append(functions, triggeredBy(strings.Repeat("f", i+1), on(word()), on(word())))
		}
		c := catalogOf(appWith("a", functions...))
		for range 50 {
			event := word()
			want := []string{}
			for _, fn := range functions {
				if fn.Triggers[0].Matches(event) || fn.Triggers[1].Matches(event) {
					want = append(want, fn.Slug)
				}
			}
			slices.Sort(want)
			require.Equal(t, want, slugs(c.Triggered(event)), "%q", event)
		}
	}
}

func TestTriggeredIsTheCallersToExtend(t *testing.T) {
	t.Parallel()
	c := catalogOf(appWith("one", triggeredBy("a", on("x")), triggeredBy("b", on("x")), triggeredBy("c", on("x"))))
	first := append(c.Triggered("x"), nil)
	second := append(c.Triggered("x"), &Registered{})
	require.Nil(t, first[3])
	require.NotNil(t, second[3])
}

func TestCatalogFinds(t *testing.T) {
	t.Parallel()
	live := appWith("live", triggeredBy("live-b"), triggeredBy("live-a"))
	live.Archived = []function.Function{{ID: uuid.New(), Slug: "live-gone"}}
	twin := appWith("twin", triggeredBy("twin-a"))
	twin.URL = live.URL
	placeholder := appWith("", triggeredBy("nameless"))
	removed := appWith("removed", triggeredBy("removed-a"))
	removed.ArchivedAt = time.Now()
	removed.Archived = []function.Function{{ID: uuid.New(), Slug: "removed-gone"}}
	c := catalogOf(live, twin, placeholder, removed)

	require.Len(t, c.Apps, 3)
	require.True(t, slices.IsSortedFunc(c.Apps, func(a, b *function.App) int { return strings.Compare(a.ID.String(), b.ID.String()) }))
	var all []string
	for _, fn := range c.Functions() {
		all = append(all, fn.Slug)
	}
	require.Equal(t, []string{"live-a", "live-b", "nameless", "twin-a"}, all)

	for _, key := range []string{"live-a", live.Functions[1].ID.String(), strings.ToUpper(live.Functions[1].ID.String())} {
		fn, ok := c.Lookup(key)
		require.True(t, ok, key)
		require.Equal(t, "live-a", fn.Slug)
		require.Same(t, live, fn.App)
	}
	for _, key := range []string{"", "removed-a", "live-gone", removed.Functions[0].ID.String(), uuid.NewString()} {
		_, ok := c.Lookup(key)
		require.False(t, ok, key)
	}

	app, ok := c.App(removed.ID)
	require.True(t, ok)
	require.Same(t, removed, app)
	_, ok = c.App(uuid.New())
	require.False(t, ok)

	app, ok = c.AppByName("twin")
	require.True(t, ok)
	require.Same(t, twin, app)
	for _, name := range []string{"", "removed", "none"} {
		_, ok := c.AppByName(name)
		require.False(t, ok, name)
	}
	require.ElementsMatch(t, []*function.App{live, twin}, c.AppsByURL(live.URL))
	require.Empty(t, c.AppsByURL(removed.URL))
}

func TestExecutable(t *testing.T) {
	t.Parallel()
	live := appWith("live", triggeredBy("a"))
	live.Archived = []function.Function{{ID: uuid.New(), Slug: "gone"}}
	removed := appWith("removed", triggeredBy("gone with its app"))
	removed.ArchivedAt = time.Now()
	removed.Archived = []function.Function{{ID: uuid.New(), Slug: "gone before its app"}}
	c := catalogOf(live, removed)

	for _, want := range []struct {
		fn  *function.Function
		app uuid.UUID
	}{{&live.Functions[0], live.ID}, {&live.Archived[0], live.ID}, {&removed.Archived[0], removed.ID}, {&removed.Functions[0], removed.ID}} {
		fn, app, ok := c.Executable(want.fn.ID)
		require.True(t, ok)
		require.Same(t, want.fn, fn)
		require.Equal(t, want.app, app)
	}
	fn, _, ok := c.Executable(uuid.New())
	require.False(t, ok)
	require.Nil(t, fn)
}

// A function that came back is executed as it is now.
func TestExecutablePrefersTheActiveFunction(t *testing.T) {
	t.Parallel()
	old := appWith("old")
	now := appWith("now", triggeredBy("a"))
	old.Archived = []function.Function{{ID: now.Functions[0].ID, Slug: "a before"}}
	fn, app, ok := catalogOf(old, now).Executable(now.Functions[0].ID)
	require.True(t, ok)
	require.Same(t, &now.Functions[0], fn)
	require.Equal(t, now.ID, app)
}
