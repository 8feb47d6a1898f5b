// Package docs holds the documentation, so that a running server can show the
// pages that belong to it. It contains no code besides.
package docs

import "embed"

// Pages are the files of this directory.
//
//go:embed *.md
var Pages embed.FS
