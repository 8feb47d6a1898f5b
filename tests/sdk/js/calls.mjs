// The call log: one record for each time that the body of a step ran. Tests
// read it over HTTP to tell "ran exactly once" from "its result was right".
//
// Records are also appended to a file before the body goes on, so that the log
// survives a SIGKILL of the app in the middle of that body.

import { appendFileSync, existsSync, readFileSync } from "node:fs";

export class CallLog {
  #path;
  #byToken = new Map();

  constructor(path) {
    this.#path = path;
    if (path && existsSync(path)) {
      const complete = readFileSync(path, "utf8").split("\n").slice(0, -1);
      complete.forEach((line) => this.#keep(JSON.parse(line)));
    }
  }

  // record notes that a body runs now. A call is {token, step, attempt, run,
  // detail?}: token groups the calls of one test, attempt is 0-based.
  record(call) {
    const entry = { ...call, at: Date.now() };
    if (this.#path) appendFileSync(this.#path, JSON.stringify(entry) + "\n");
    this.#keep(entry);
  }

  of(token) {
    return this.#byToken.get(token) ?? [];
  }

  count(token, step) {
    return this.of(token).filter((call) => call.step === step).length;
  }

  #keep(entry) {
    const calls = this.#byToken.get(entry.token) ?? [];
    calls.push(entry);
    this.#byToken.set(entry.token, calls);
  }
}
