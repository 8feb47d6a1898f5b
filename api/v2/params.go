package v2

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// params are the parameters of a query, whose names may be written in camel
// case or with underscores.
type params struct{ url.Values }

func paramsOf(r *http.Request) params {
	values := url.Values{}
	for key, all := range r.URL.Query() {
		name := camel(key)
		values[name] = append(values[name], all...)
	}
	return params{values}
}

// camel turns include_output into includeOutput.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words[1:] {
		if word != "" {
			words[i+1] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// limits are the sizes of a page. Where zero is not the usual size, it is an
// error.
type limits struct {
	usual, most int
	zeroIsUsual bool
}

func (p params) limit(l limits) (int, error) {
	text := p.Get("limit")
	if text == "" {
		return l.usual, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, &problem{http.StatusBadRequest, "api_error", fmt.Sprintf("parsing field %q: %s", "limit", err)}
	}
	return l.check(n)
}

// check is the size of the page that was asked for.
func (l limits) check(n int64) (int, error) {
	switch {
	case n == 0 && l.zeroIsUsual:
		return l.usual, nil
	case n < 1:
		return 0, invalid("Limit must be at least 1")
	case n > int64(l.most):
		return 0, invalid(fmt.Sprintf("Limit cannot exceed %d", l.most))
	}
	return int(n), nil
}

func (p params) flag(name string) (bool, error) {
	text := p.Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, &problem{http.StatusBadRequest, "api_error", fmt.Sprintf("parsing field %q: %s", name, err)}
	}
	return value, nil
}

func (p params) time(name string) (time.Time, error) {
	text := p.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, &problem{http.StatusBadRequest, "api_error", fmt.Sprintf("parsing field %q: %s", name, err)}
	}
	return at, nil
}

var errCursor = invalid("Cursor is invalid")

// window cuts the page out of all items that begins behind the cursor.
func window[T any](items []T, id func(T) string, cursor string, limit int) (page []T, more bool) {
	for _, item := range items {
		switch {
		case id(item) <= cursor:
		case len(page) == limit:
			return page, true
		default:
			page = append(page, item)
		}
	}
	return page, false
}
