// Flow control: what decides whether and when runs start, and how many steps
// and runs go on at once.
//
// Keys that tests must not share with each other are the token, or a field `k`
// of the event.

import { about, tells } from "./lifecycle.mjs";

// worker makes steps that end when the test lets them through their gate. The
// call log thus has what was in flight: each "work" until its "worked".
const worker = (gates) => (id, { data, note, step, token }) =>
  step.run(id, async () => {
    note("work", { k: data.k });
    await gates.pass(token);
    note("worked", { k: data.k });
  });

// holder makes a body with one such step.
export const holder = (gates) => async (ctx) => {
  await worker(gates)("work", ctx);
  return { k: ctx.data.k };
};

export const flowFunctions = ({ events, gates, RetryAfterError }) => {
  const work = worker(gates);
  const held = holder(gates);
  const heldInParallel = async (ctx) => {
    await Promise.all(Array.from({ length: ctx.data.n }, (_, i) => work(`work${i}`, ctx)));
  };
  // plain tells at once with which events it was called.
  const plain = async ({ events: batch, note }) => {
    const ns = batch.map((event) => event.data.n ?? null);
    note("plain", { ns });
    return { ns };
  };
  const naps = (time) => async ({ run, step }) => {
    await run("started");
    await step.sleep("nap", time);
    await run("ended");
  };
  const byToken = "event.data.token";
  const byK = "event.data.k";
  const shared = (id, scope) => ({ id, flow: { concurrency: { limit: 1, key: byToken, scope } }, body: held });

  return [
    { id: "plain", body: plain },

    { id: "conc", flow: { concurrency: 2 }, body: held },
    { id: "conc-keyed", flow: { concurrency: { limit: 1, key: byK } }, body: held },
    { id: "conc-two", flow: { concurrency: [{ limit: 3 }, { limit: 1, key: byK }] }, body: held },
    shared("conc-env-a", "env"),
    shared("conc-env-b", "env"),
    shared("conc-account-a", "account"),
    shared("conc-account-b", "account"),
    { id: "conc-asleep", flow: { concurrency: { limit: 1, key: byToken } }, body: naps("1h") },
    {
      id: "conc-retrying",
      retries: 1,
      flow: { concurrency: { limit: 1, key: byToken } },
      body: ({ run }) => run("started", () => { throw new RetryAfterError("not now", "1h"); }),
    },
    { id: "conc-steps", flow: { concurrency: { limit: 2, key: byToken } }, body: heldInParallel },
    { id: "conc-runs", flow: { concurrency: { fn: [{ limit: 1, key: byK }] } }, body: naps("1s") },
    {
      id: "conc-cancel",
      flow: { concurrency: { limit: 1, key: byToken } },
      cancelOn: [{ event: `${events}/cancel`, match: "data.k" }],
      body: held,
    },

    { id: "throttle-burst", flow: { throttle: { limit: 2, period: "10m", burst: 1, key: byToken } }, body: plain },
    { id: "throttle-steady", flow: { throttle: { limit: 1, period: "2s", key: byToken } }, body: plain },
    { id: "throttle-keyed", flow: { throttle: { limit: 1, period: "10m", key: byK } }, body: plain },

    { id: "rate", flow: { rateLimit: { limit: 1, period: "1h", key: byK } }, body: plain },
    { id: "rate-shared", flow: { rateLimit: { limit: 1, period: "10s", key: byK } }, body: plain },
    { id: "rate-spread", flow: { rateLimit: { limit: 5, period: "20s", key: byToken } }, body: plain },
    { id: "rate-burst", flow: { rateLimit: { limit: 10, period: "10m", key: byToken } }, body: plain },
    { id: "rate-invoked", flow: { rateLimit: { limit: 1, period: "1h", key: byToken } }, body: plain },
    { id: "idempotent", flow: { idempotency: byK }, body: plain },

    { id: "debounce", flow: { debounce: { period: "4s", key: byK } }, body: plain },
    { id: "debounce-capped", flow: { debounce: { period: "4s", timeout: "6s", key: byToken } }, body: plain },
    { id: "debounce-invoked", flow: { debounce: { period: "5s", key: byToken } }, body: plain },

    { id: "batch-size", flow: { batchEvents: { maxSize: 3, timeout: "60s", key: byToken } }, body: plain },
    { id: "batch-time", flow: { batchEvents: { maxSize: 3, timeout: "3s" } }, body: plain },
    { id: "batch-keyed", flow: { batchEvents: { maxSize: 2, timeout: "60s", key: byK } }, body: plain },
    {
      id: "batch-if",
      flow: { batchEvents: { maxSize: 2, timeout: "60s", key: byToken, if: "event.data.bulk == true" } },
      body: plain,
    },

    {
      id: "priority",
      flow: { priority: { run: "event.data.p" }, concurrency: { limit: 1, key: byToken } },
      body: held,
    },
    { id: "single-skip", flow: { singleton: { mode: "skip", key: byK } }, body: held },
    { id: "single-cancel", flow: { singleton: { mode: "cancel", key: byK } }, body: held },
    { id: "single-invoked", flow: { singleton: { mode: "skip", key: byToken } }, body: naps("1h") },

    {
      id: "timeout-start",
      flow: { timeouts: { start: "5s" }, concurrency: { limit: 1, key: byToken } },
      body: held,
    },
    { id: "timeout-finish", flow: { timeouts: { finish: "2s" } }, body: naps("1h") },
    { id: "on-finished", on: [about(events, "inngest/function.finished", "timeout-finish")], body: tells("finished") },
    { id: "on-cancelled", on: [about(events, "inngest/function.cancelled", "timeout-finish")], body: tells("cancelled") },

    { id: "bulk", body: naps("1h") },
    { id: "pausable", body: plain },
    { id: "unpaused", on: [{ event: `${events}/pausable` }], body: plain },
  ];
};
