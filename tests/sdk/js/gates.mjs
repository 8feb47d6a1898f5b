// Gates keep the bodies of steps waiting until the test lets them through, so
// that a test decides how long a step takes, and in which order steps end.

export class Gates {
  #byToken = new Map();

  // pass returns when the gate of this token lets one more through.
  pass(token) {
    const gate = this.#of(token);
    if (gate.free > 0) {
      gate.free--;
      return Promise.resolve();
    }
    return new Promise((through) => gate.waiting.push(through));
  }

  // let lets n through: first those that wait, in order, then those to come.
  let(token, n) {
    const gate = this.#of(token);
    gate.free += n;
    while (gate.free > 0 && gate.waiting.length > 0) {
      gate.free--;
      gate.waiting.shift()();
    }
  }

  #of(token) {
    const gate = this.#byToken.get(token) ?? { free: 0, waiting: [] };
    this.#byToken.set(token, gate);
    return gate;
  }
}
