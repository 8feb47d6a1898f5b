package function

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTriggeredBy(t *testing.T) {
	t.Parallel()
	unread := errors.New("unreadable")
	f := Function{Triggers: []Trigger{
		{Event: "shop/*", Expression: "event.data.n > 1"}, {Event: "shop/paid"}, {Event: "bad", Expression: "event.data.("}, {Cron: "* * * * *"},
	}}
	for name, c := range map[string]struct {
		event, fields string
		fits          bool
		err           string
	}{
		"no trigger":                 {"other", `{"data":{"n":2}}`, false, ""},
		"an expression that fits":    {"shop/order", `{"data":{"n":2}}`, true, ""},
		"one that does not":          {"shop/order", `{"data":{"n":1}}`, false, ""},
		"another trigger without":    {"shop/paid", `{"data":{"n":1}}`, true, ""},
		"fields that cannot be read": {"shop/order", ``, false, "unreadable"},
		"an expression that fails":   {"bad", `{"data":{"n":1}}`, false, "event.data.("},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fits, err := f.TriggeredBy(c.event, func() (map[string]any, error) {
				if c.fields == "" {
					return nil, unread
				}
				var fields map[string]any
				err := json.Unmarshal([]byte(c.fields), &fields)
				return fields, err
			})
			require.Equal(t, c.fits, fits)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
		})
	}
}
