package api

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"

	"jetstep/executor/signing"
)

// headers gives every answer its general headers and answers CORS pre-flights
// (http-api §3). Any origin is let in: credentials are tokens that scripts
// must send themselves.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	kind := s.cfg.Mode.Kind()
	return func(c echo.Context) error {
		r, header := c.Request(), c.Response().Header()
		origin := r.Header.Get(echo.HeaderOrigin)
		if requested := r.Header.Get(echo.HeaderAccessControlRequestMethod); r.Method == http.MethodOptions && requested != "" {
			if origin != "" && corsMethods[requested] {
				preflight(header, origin, requested, r.Header.Get(echo.HeaderAccessControlRequestHeaders))
			}
			return c.NoContent(http.StatusOK)
		}
		header.Set("X-Inngest-Server-Kind", kind)
		header.Set(echo.HeaderVary, echo.HeaderOrigin)
		if origin != "" {
			header.Set(echo.HeaderAccessControlAllowOrigin, origin)
			header.Set(echo.HeaderAccessControlExposeHeaders, "Link, Mcp-Session-Id")
		}
		return next(c)
	}
}

// corsMethods are those that scripts of other origins may use.
var corsMethods = map[string]bool{
	http.MethodGet: true, http.MethodPost: true, http.MethodPut: true, http.MethodDelete: true, http.MethodOptions: true,
}

func preflight(header http.Header, origin, method, requested string) {
	header.Set(echo.HeaderAccessControlAllowOrigin, origin)
	header.Set(echo.HeaderAccessControlAllowMethods, method)
	header.Set(echo.HeaderAccessControlMaxAge, "3600")
	if requested != "" {
		names := strings.Split(requested, ",")
		for i := range names {
			names[i] = http.CanonicalHeaderKey(strings.TrimSpace(names[i]))
		}
		header.Set(echo.HeaderAccessControlAllowHeaders, strings.Join(names, ", "))
	}
}

// recoverPanics turns a handler's panic into an error, so that one bad request
// does not end the process or go unanswered.
func (s *Server) recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch cause := recover(); cause {
			case nil:
			case http.ErrAbortHandler:
				panic(cause) // net/http wants it
			default:
				err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
		return next(c)
	}
}

// decodeParams decodes the parts of the path that a handler asks for, and keeps
// each to one segment: the router lets the last one have several.
func decodeParams(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		values := c.ParamValues()
		for i, name := range c.ParamNames() {
			if name == "*" {
				continue
			}
			if strings.Contains(values[i], "/") {
				return echo.ErrNotFound
			}
			if c.Request().URL.RawPath == "" {
				continue // it came decoded
			}
			decoded, err := url.PathUnescape(values[i])
			if err != nil {
				return echo.ErrNotFound
			}
			values[i] = decoded
		}
		return next(c)
	}
}

// guards are the checks before a route's handler.
func (s *Server) guards(a access) []echo.MiddlewareFunc {
	switch a {
	case keyed:
		return []echo.MiddlewareFunc{s.requireKey}
	case browser:
		return []echo.MiddlewareFunc{s.requirePassword}
	}
	return nil
}

// requireKey lets requests with the signing key in, or all where there is none
// (http-api §4).
func (s *Server) requireKey(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !s.authorized(signing.Bearer(c.Request().Header.Get(echo.HeaderAuthorization))) {
			http.Error(c.Response(), "Authentication failed", http.StatusUnauthorized)
			return nil
		}
		return next(c)
	}
}

// requirePassword is requireKey for pages: browsers cannot be made to send a
// bearer token, but they ask people for a password, which is the signing key.
// They then send it by themselves, also with a form of another site's page, which
// must change nothing.
func (s *Server) requirePassword(next echo.HandlerFunc) echo.HandlerFunc {
	origins := http.NewCrossOriginProtection()
	return func(c echo.Context) error {
		token := signing.Bearer(c.Request().Header.Get(echo.HeaderAuthorization))
		if _, password, ok := c.Request().BasicAuth(); ok {
			token = password
			if err := origins.Check(c.Request()); err != nil && len(s.cfg.SigningKeys) > 0 {
				return problemf(http.StatusForbidden, "Pages of other sites may not use the password")
			}
		}
		if !s.authorized(token) {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="jetstep: the signing key is the password"`)
			http.Error(c.Response(), "Authentication failed", http.StatusUnauthorized)
			return nil
		}
		return next(c)
	}
}

func (s *Server) authorized(token string) bool {
	return signing.Authorized(token, s.cfg.SigningKeys...)
}
