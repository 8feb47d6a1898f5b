// The apps whose runs are in the captured databases of Redis: the same functions,
// so that what the original left can be gone on with. What takes long there is
// short here, unless AS_CAPTURED is set: then runs stop where they were captured.
//
//   /api/rq, /api/state-lab, /api/state-lab-ck
//   /calls?token=RUN   which steps of a run ran (see ../js/calls.mjs)
//   /enough?token=RUN  ends the work of a run's step
//   /health            200 once the apps listen

import http from "node:http";

import { Inngest, NonRetriableError, referenceFunction } from "inngest";
import { createDefer } from "inngest/experimental";
import { serve } from "inngest/node";

import { CallLog } from "../js/calls.mjs";

const calls = new CallLog(process.env.CALLS_FILE);
const asCaptured = Boolean(process.env.AS_CAPTURED);
// How long a function sleeps that sleeps so long there.
const napOf = (there) => asCaptured ? there : process.env.NAP ?? "1s";
// What a step does that takes long there: as captured, it goes on until /enough.
const working = new Map();
const work = (run) => new Promise((resolve) => {
  if (asCaptured) working.set(run, resolve);
  else setTimeout(resolve, 300);
});

// appOf makes an app; define adds a function to it, whose handler gets a step.run
// that is recorded.
function appOf(id, options = { checkpointing: false }) {
  const client = new Inngest({ id, ...options });
  const functions = [];
  const define = (name, trigger, more, handler) => {
    const triggers = [typeof trigger === "string" ? { event: trigger } : trigger];
    const fn = client.createFunction({ id: name, triggers, ...more }, (ctx) => {
      const run = (step, body) => ctx.step.run(step, () => {
        calls.record({ token: ctx.runId, step, attempt: ctx.attempt, run: ctx.runId });
        return body();
      });
      return handler({ ...ctx, run });
    });
    functions.push(fn);
    return fn;
  };
  return { client, functions, define };
}

// limited lets a step's code take a moment, and fail if more than the limit are
// executed at once.
const busy = new Map();
async function limited(run, key, limit) {
  const now = (busy.get(key) ?? 0) + 1;
  busy.set(key, now);
  try {
    if (now > limit) throw new NonRetriableError(`${now} at once`);
    await work(run);
    return 1;
  } finally {
    busy.set(key, busy.get(key) - 1);
  }
}

const rq = appOf("rq");
const zz = napOf("10m");
const sleeper = async ({ step }) => {
  await step.sleep("zz", zz);
  return "ok";
};
const slowly = async ({ run, runId }) => {
  await run("a", () => work(runId).then(() => 1));
  return "ok";
};
const quickly = async ({ run }) => {
  await run("a", () => 1);
  return "ok";
};

rq.define("simple", "t/simple", {}, async ({ run, step }) => {
  await run("a", () => 1);
  await step.sleep("zz", zz);
  await run("b", () => 2);
  return "ok";
});
rq.define("slow", "t/slow", {}, slowly);
rq.define("conc", "t/conc", {
  concurrency: [{ limit: 1, key: "event.data.customer", scope: "fn" }, { limit: 5, key: "event.data.region", scope: "env" }],
}, async ({ event, run, runId }) => {
  await run("a", () => limited(runId, "conc " + event.data.customer, 1));
  return "ok";
});
rq.define("conc-fn", "t/conc-fn", { concurrency: 2 }, async ({ run, runId }) => {
  await run("a", () => limited(runId, "conc-fn", 2));
  return "ok";
});
rq.define("conc-acct", "t/conc-acct", { concurrency: [{ limit: 3, key: '"const"', scope: "account" }] }, slowly);
rq.define("throttle", "t/throttle", { throttle: { limit: 1, burst: 2, period: "60s", key: "event.data.customer" } }, quickly);
rq.define("throttle-nokey", "t/throttle-nokey", { throttle: { limit: 2, period: "60s" } }, () => "ok");
rq.define("prio", "t/prio", {
  priority: { run: 'event.data.tier == "gold" ? 100 : (event.data.tier == "slow" ? -600 : 0)' },
}, async ({ run, step }) => {
  await run("a", () => 1);
  await step.sleep("zz", zz);
  return "ok";
});
rq.define("wait", "t/wait", {}, async ({ step }) => {
  const got = await step.waitForEvent("w", { event: "t/never", timeout: "1h", match: "data.id" });
  return got ? got.data : "timed out";
});
rq.define("inv", "t/inv", {}, ({ step }) => step.invoke("i", {
  function: referenceFunction({ appId: "rq", functionId: "slow" }), data: { x: 1 }, timeout: "30m",
}));
rq.define("sig", "t/sig", {}, ({ step }) => step.waitForSignal("s", { signal: "sig-1", timeout: "1h", onConflict: "fail" }));
rq.define("deb", "t/deb", { debounce: { key: "event.data.customer", period: "60s", timeout: "5m" } }, ({ event }) => event.data);
rq.define("batch", "t/batch", { batchEvents: { maxSize: 10, timeout: "60s" } }, ({ events }) => events.length);
rq.define("cron", { cron: "*/30 * * * *" }, {}, () => "ok");
rq.define("retry", "t/retry", { retries: 3 }, ({ attempt }) => { throw new Error("boom " + attempt); });
rq.define("retry-step", "t/retry-step", { retries: 3 }, ({ attempt, run }) => run("a", () => { throw new Error("boom " + attempt); }));
rq.define("single", "t/single", { singleton: { key: "event.data.customer", mode: "skip" } }, sleeper);
rq.define("timeouts", "t/timeouts", { timeouts: { start: "1h", finish: "2h" } }, sleeper);
rq.define("par", "t/par", {}, ({ run, runId, step }) => Promise.all([
  run("p1", () => work(runId).then(() => 1)), run("p2", () => work(runId).then(() => 2)), step.sleep("p3", zz),
]));
rq.define("rl", "t/rl", { rateLimit: { limit: 10, period: "60s", key: "event.data.customer" } }, () => "ok");
rq.define("cancelable", "t/cancelable", { cancelOn: [{ event: "t/stop", if: "async.data.id == event.data.id" }] }, sleeper);
rq.define("edgeq", "t/edgeq", { concurrency: 1 }, ({ run, runId }) => Promise.all([
  run("p1", () => limited(runId, "edgeq", 1)), run("p2", () => limited(runId, "edgeq", 1)),
]));
rq.define("edgeerr", "t/edgeerr", { retries: 0 }, async ({ run, step }) => {
  try {
    await run("a", () => { throw new Error("final"); });
  } catch {
    await step.sleep("zz", zz);
  }
  return "ok";
});
rq.define("edge", "t/edge", {}, async ({ run, step }) => {
  await run("a", () => 1);
  await step.sleep("zz", zz);
  return "ok";
});
rq.define("short", "t/short", {}, quickly);
rq.define("semfn", "t/semfn", { concurrency: { fn: [{ limit: 1 }] } }, sleeper);
rq.define("semkey", "t/semkey", {
  concurrency: { fn: [{ limit: 2, key: "event.data.customer" }], step: [{ limit: 3 }] },
}, sleeper);
rq.define("ck", "t/ck", { retries: 3, checkpointing: true }, async ({ attempt, run }) => {
  await run("a", () => 1);
  await run("b", () => { throw new Error("x" + attempt); });
});
rq.define("prio-float", "t/prio-float", { priority: { run: "event.data.p" } }, () => "ok");

const lab = appOf("state-lab");
const nap = napOf("60s");
lab.define("sleeper", "lab/sleep", {}, async ({ event, run, step }) => {
  const a = await run("first", () => ({ greeting: "hello", n: 1, list: [], empty: {} }));
  await step.sleep("nap", event.data.nap ?? nap);
  const b = await run("second", () => a.n + 1);
  return { a, b };
});
lab.define("waiter", "lab/wait", {}, async ({ event, run, step }) => {
  await run("before", () => "ready");
  const got = await step.waitForEvent("wait-reply", {
    event: "lab/reply", timeout: event.data.timeout ?? "10m", if: "async.data.orderId == event.data.orderId",
  });
  return { got: got ? got.data : null };
});
const callee = lab.define("callee", "lab/callee", {}, async ({ event, step }) => {
  await step.sleep("callee-nap", event.data.nap ?? nap);
  return { answer: 42 };
});
lab.define("caller", "lab/call", {}, ({ event, step }) =>
  step.invoke("call-it", { function: callee, data: { x: 1, nap: event.data.nap }, timeout: "1h" }));
lab.define("parallel", "lab/parallel", {}, ({ event, run, runId, step }) => Promise.all([
  run("p-fast", () => "fast"),
  run("p-slow", () => work(runId).then(() => "slow")),
  step.sleep("p-sleep", event.data.nap ?? napOf("90s")),
  step.waitForEvent("p-wait", { event: "lab/parallel.go", timeout: "10m", match: "data.id" }),
]));
lab.define("signaller", "lab/signal", {}, ({ event, step }) => step.waitForSignal("sig", {
  signal: event.data.signal, timeout: "10m", onConflict: event.data.replace ? "replace" : "fail",
}));
lab.define("batched", "lab/batch", { batchEvents: { maxSize: 3, timeout: "60s" } }, ({ events }) => ({ n: events.length }));
lab.define("batched-keyed", "lab/batch.keyed", { batchEvents: { maxSize: 3, timeout: "60s", key: "event.data.team" } },
  ({ events }) => ({ n: events.length }));
lab.define("debounced", "lab/debounce", { debounce: { period: "20s" } }, ({ event }) => event.data);
lab.define("debounced-keyed", "lab/debounce.keyed", { debounce: { period: "20s", key: "event.data.user", timeout: "60s" } }, ({ event }) => event.data);
lab.define("limited", "lab/rl", { rateLimit: { limit: 2, period: "60s" } }, () => "ok");
lab.define("limited-keyed", "lab/rl.keyed", { rateLimit: { limit: 20, period: "24h", key: "event.data.user" } }, () => "ok");
const single = async ({ step }) => {
  await step.sleep("s", "60s");
  return 1;
};
lab.define("single-skip", "lab/single.skip", { singleton: { mode: "skip", key: "event.data.user" } }, single);
lab.define("single-cancel", "lab/single.cancel", { singleton: { mode: "cancel" } }, single);
lab.define("cancellable", "lab/cancellable", {
  cancelOn: [{ event: "lab/cancel", if: "async.data.orderId == event.data.orderId", timeout: "1h" }, { event: "lab/cancel.all" }],
}, async ({ step }) => {
  await step.sleep("long", "10m");
  return "never";
});
lab.define("idem", "lab/idem", { idempotency: "event.data.orderId" }, () => "once");
lab.define("flaky", "lab/flaky", { retries: 2 }, async ({ run, step }) => {
  try {
    await run("boom", () => { throw new NonRetriableError("nope"); });
  } catch {
    // goes on
  }
  await step.sleep("after-boom", "60s");
  return "survived";
});
const later = createDefer(lab.client, { id: "later" }, ({ event }) => event.data);
lab.functions.push(later);
lab.define("deferer", "lab/defer", {}, async ({ defer, event, run, step }) => {
  await run("pre", () => 1);
  defer("d-one", { function: later, data: { k: "one" } });
  const second = defer("d-two", { function: later, data: { k: "two", big: [] } });
  await run("mid", () => 2);
  second.abort?.();
  second.cancel?.();
  await step.sleep("defer-nap", event.data.nap ?? nap);
  return "done";
});
lab.define("echo", "lab/echo", {}, async ({ event, run, step }) => {
  const a = await run("echo-step", () => ({ d: event.data, z: [], y: {}, nul: null, s: "a/b <x> & \u00e9 \u2028" }));
  await run("void", () => undefined);
  await step.waitForEvent("w", { event: "lab/echo.reply", timeout: "10m" });
  await step.sleep("n", nap);
  return a;
});
lab.define("collector", "lab/collect", {}, async ({ step }) => {
  const a = await step.invoke("inv-ok", { function: callee, data: { nap: "1s" } });
  try {
    await step.invoke("inv-late", { function: callee, data: { nap: "40s" }, timeout: "2s" });
  } catch {
    // it is to be late
  }
  await step.waitForEvent("w-late", { event: "lab/never", timeout: "2s" });
  await step.waitForSignal("sg", { signal: "sig-c", timeout: "10m" });
  await step.waitForSignal("sg-late", { signal: "sig-d", timeout: "2s" });
  await step.sleep("short", "1s");
  await step.sendEvent("ev", { name: "lab/none", data: {} });
  await step.sleep("n", nap);
  return a;
});
lab.define("crony", { cron: "*/2 * * * *" }, {}, async ({ step }) => {
  await step.sleep("c", napOf("30s"));
  return "tick";
});
lab.define("prio", "lab/prio", {
  priority: { run: "event.data.p" }, concurrency: [{ limit: 1, key: "event.data.acct", scope: "fn" }],
  throttle: { limit: 1, period: "30s", key: "event.data.acct" }, timeouts: { start: "5m", finish: "10m" },
}, async ({ run, runId, step }) => {
  await run("work", () => work(runId).then(() => "w"));
  await step.sleep("ps", napOf("30s"));
  return 1;
});
lab.define("fnsem", "lab/fnsem", { concurrency: { fn: [{ limit: 2, key: "event.data.acct" }] } }, async ({ run, step }) => {
  await run("work", () => 1);
  await step.sleep("z", napOf("40s"));
  return 1;
});

const checkpointed = appOf("state-lab-ck", { checkpointing: true });
checkpointed.define("checkpointed", "lab/ck", {}, async ({ event, run, step }) => {
  const a = await run("one", () => 1);
  const b = await run("two", () => ({ a }));
  await step.sleep("cknap", event.data.nap ?? nap);
  return { a, b };
});

const routes = new Map([["/health", (_, res) => res.writeHead(200).end("ok")]]);
for (const { client, functions } of [rq, lab, checkpointed]) {
  routes.set("/api/" + client.id, serve({ client, functions }));
}
const tokenOf = (req) => new URL(req.url, "http://app").searchParams.get("token") ?? "";
routes.set("/calls", (req, res) => {
  res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(calls.of(tokenOf(req))));
});
routes.set("/enough", (req, res) => {
  working.get(tokenOf(req))?.();
  res.writeHead(200).end();
});
http.createServer((req, res) => {
  const route = routes.get(new URL(req.url, "http://app").pathname);
  return route ? route(req, res) : res.writeHead(404).end();
}).listen(Number(process.env.PORT), "127.0.0.1");
