// What the middleware of both SDK versions does in its hooks, whose names and
// signatures differ: each main.mjs hands in its own, made of these.

export class Hooks {
  #calls;

  constructor(calls) {
    this.#calls = calls;
  }

  // note records that a hook ran in this run of a function.
  note({ event, runId, attempt = 0 }, step, detail) {
    this.#calls.record({ token: event.data.token, step, attempt, run: runId, detail });
  }

  injected = { injected: "by a hook" };
  stamp = (event) => ({ ...event, data: { ...event.data, stamp: "by a hook" } });
  stepOutput = (output) => (typeof output === "string" ? output + ", changed" : output);
  output = (output) => ({ ...output, changed: true });

  // logger is a client's own, which records what functions log.
  logger = {
    info: (word, line) => {
      if (word === "note") this.#calls.record({ ...line, attempt: 0, run: "" });
    },
    warn: () => {},
    error: () => {},
    debug: () => {},
  };
}
