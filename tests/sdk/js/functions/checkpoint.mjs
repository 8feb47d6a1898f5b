// Functions of a client with checkpointing: many steps in one call, each
// reported by API as it finishes.

import { crash } from "./steps.mjs";

export const checkpointFunctions = ({ calls }) => [
  {
    // "body" counts the calls: one up to the sleep, one after it.
    id: "checkpoint",
    body: async ({ note, run, step }) => {
      note("body");
      const a = await run("a", () => 1);
      const b = await run("b", () => a + 1);
      await step.sleep("nap", "1s");
      const c = await run("c", () => b + 1);
      return [a, b, c];
    },
  },
  {
    // Each step has its own retries, although one call runs them all: more
    // steps fail here than one step may.
    id: "checkpoint-retry",
    retries: 2,
    body: async ({ run, token }) => {
      const once = (step) => () => {
        if (calls.count(token, step) === 1) throw new Error(`${step} fails first`);
        return step;
      };
      const a = await run("a", once("a"));
      const b = await run("b", once("b"));
      const c = await run("c", once("c"));
      return a + b + c;
    },
  },
  {
    id: "checkpoint-parallel",
    body: async ({ run }) => {
      const a = await run("a", () => 1);
      const [b, c] = await Promise.all([run("b", () => a + 1), run("c", () => a + 2)]);
      return run("d", () => a + b + c);
    },
  },
  {
    // The second step's arguments can be given anew when the run is made again.
    id: "checkpoint-arguments",
    body: async ({ note, run, step }) => {
      const kept = await run("kept", () => Math.random());
      const sum = await step.run("sum", (a, b) => { note("sum", [a, b]); return a + b; }, 1, 2);
      return run("after", () => ({ kept, sum }));
    },
  },
  {
    id: "checkpoint-fail",
    retries: 1,
    body: async ({ note, run }) => {
      await run("a");
      note("body");
      throw new Error("after a checkpoint");
    },
  },
  { id: "checkpoint-crash", retries: 20, body: crash(calls) },
];
