// Plain steps: order, memoisation, sleeping, sending, large state.

import { createHash } from "node:crypto";

// crash makes a body with a step whose first call never ends: the test kills the
// app in it.
export const crash = (calls) => async ({ run, token }) => {
  const a = await run("a", () => "A");
  const b = await run("b", () => a + "B");
  const c = await run("block", () =>
    calls.count(token, "block") > 1 ? b + "C" : new Promise(() => {}));
  return run("d", () => c + "D");
};

export const stepFunctions = ({ events, calls }) => [
  {
    // Each step uses the results before it; the same id twice is two steps.
    id: "sequence",
    body: async ({ run }) => {
      const a = await run("a", () => 1);
      const b = await run("b", () => a + 1);
      const c = await run("c", () => ({ sum: a + b, text: "ünïcode <&> \u2028" }));
      const first = await run("again", () => "first");
      const second = await run("again", () => "second");
      return { a, b, c, again: [first, second] };
    },
  },
  {
    id: "sleep",
    body: async ({ run, step }) => {
      await run("before");
      await step.sleep("nap", "1s");
      await run("after");
      return "rested";
    },
  },
  {
    // The moment is fixed inside a step, so that it does not move with replays.
    id: "sleep-until",
    body: async ({ run, step }) => {
      const until = await run("before", () => Date.now() + 2500);
      await step.sleepUntil("nap", new Date(until));
      await run("after");
      return "rested";
    },
  },
  {
    id: "send",
    body: async ({ data, step, token }) => {
      const sent = await step.sendEvent("emit", [
        { name: `${events}/echo`, data: { token, n: 1 } },
        { name: `${events}/echo`, data: { token, n: 2 } },
      ]);
      const one = await step.sendEvent("emit-one", { name: `${events}/echo`, data: { token, n: 3, of: data.of } });
      return { ids: [...sent.ids, ...one.ids] };
    },
  },
  {
    // Two steps of 3 MB make a state that no longer fits into a call: the SDK
    // has to fetch it.
    id: "large-state",
    body: async ({ run }) => {
      const fill = (char) => char.repeat(3_000_000);
      const x = await run("x", () => fill("x"));
      const y = await run("y", () => fill("y"));
      return run("digest", () => createHash("sha256").update(x).update(y).digest("hex"));
    },
  },
  {
    id: "big-output",
    body: ({ run }) => run("big", () => "b".repeat(5 * 1024 * 1024)),
  },
  {
    // The second step's arguments can be given anew when the run is made again.
    id: "arguments",
    body: async ({ note, run, step }) => {
      const kept = await run("kept", () => Math.random());
      const sum = await step.run("sum", (a, b) => { note("sum", [a, b]); return a + b; }, 1, 2);
      return { kept, sum };
    },
  },
  { id: "crash", retries: 20, body: crash(calls) },
];
