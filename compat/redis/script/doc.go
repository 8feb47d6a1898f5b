// Package script owns how Lua scripts are sent to Redis: by their hash, several in
// one round trip, or as one script that does what several do.
//
// It guarantees that a script which the server has forgotten is sent again, and
// that operations which are one script happen at one moment: nobody sees some of
// them and not the others, nor does a crash leave them so. It must not know what a
// script does.
package script
