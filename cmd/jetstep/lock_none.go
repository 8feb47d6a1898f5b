//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import "os"

// lockFile does nothing: this system has no flock.
func lockFile(*os.File) error { return nil }

func unlockFile(*os.File) {}
