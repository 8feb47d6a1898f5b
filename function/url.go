package function

import (
	"net"
	"net/url"
)

// NormalizeURL makes app URLs and step URIs comparable (sdk-protocol §4.3):
// the query parameters deployId and probe are dropped and the others sorted,
// a local host written with a port becomes localhost, default ports go. With
// forceHTTPS the scheme becomes https first. What is no URL stays as it is.
func NormalizeURL(raw string, forceHTTPS bool) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	if forceHTTPS {
		u.Scheme = "https"
	}
	if u.RawQuery != "" {
		query := u.Query()
		query.Del("deployId")
		query.Del("probe")
		u.RawQuery = query.Encode()
	}
	if host, port, err := net.SplitHostPort(u.Host); err == nil {
		switch host {
		case "127.0.0.1", "0.0.0.0", "localhost":
			u.Host = "localhost:" + port
		}
		if (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
			u.Host = hostWithoutPort(u)
		}
	}
	return u.String()
}

// hostWithoutPort keeps the brackets of an IPv6 host.
func hostWithoutPort(u *url.URL) string {
	return u.Host[:len(u.Host)-len(u.Port())-1]
}
