// Package trace turns the rows of the table spans into what users see of a
// run: the tree of its steps in the two shapes that clients know, and the
// outputs. It also derives the ids of those rows.
//
// Everything here is a pure function of rows and times that are passed in: no
// database, no clock, no state. It accepts the rows of any writer of the format
// (database §11), in any order, and never fails because of a single bad
// attribute: what cannot be read is as good as absent. It must not know where
// rows are stored nor how they are queried.
package trace
