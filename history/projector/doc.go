// Package projector keeps the SQL database in step with the logs: it reads the
// records of LOG_<p> and TOLD, the events of EVENTS and the spans of TRACES,
// translates them into rows (database §5–§12) and writes these in batches together
// with the positions up to which they were read.
//
// It guarantees that
//   - each record leads to its rows once: positions and rows are one
//     transaction, so a crash leaves a batch whole or absent;
//   - rows are a function of the records alone. Ids, parents and times come from
//     run id, job id and step id, so projecting again makes the same rows;
//   - what cannot be translated or stored is set aside, logged and counted. It
//     never stops what comes after it;
//   - a database that is slow or down delays only itself. Reading goes on where
//     the database was left, whenever it comes back.
//
// It must not decide anything about runs, and nothing that executes may wait
// for it. The one exception is the purge of what was read: [Projector.Projected] is
// how far a log may be forgotten, [Projector.ToldProjected] how far TOLD.
package projector
