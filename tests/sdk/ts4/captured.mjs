// The app whose runs are in the captured database of the original: the same
// functions, so that its runs on any server can be compared with those.

import http from "node:http";

import { cron, Inngest, NonRetriableError } from "inngest";
import { serve } from "inngest/node";

const client = new Inngest({ id: "fixture-app", appVersion: "1.0.2" });

const functions = [];
const define = (id, event, options, handler) => {
  const triggers = [typeof event === "string" ? { event } : event];
  const fn = client.createFunction({ id, retries: 0, triggers, ...options }, handler);
  functions.push(fn);
  return fn;
};

define("hello", "fx/hello", { name: "Hello world" }, ({ event }) => ({ hello: event.data.name }));

define("two-steps", "fx/steps", { retries: 1 }, async ({ step }) => {
  const a = await step.run("first", () => ({ a: 1 }));
  const b = await step.run("second", () => a.a + 1);
  return { a, b };
});

define("sleeper", "fx/sleep", {}, async ({ step }) => {
  await step.sleep("short-nap", "2s");
  await step.run("after", () => "awake");
  return "slept";
});

define("waiter", "fx/wait", {}, async ({ event, step }) => {
  const approved = await step.waitForEvent("approval", {
    event: "fx/approved",
    timeout: "6s",
    if: `async.data.id == "${event.data.id}"`,
  });
  return approved ? { by: approved.data.by } : "timed out";
});

const child = define("child", "fx/child", {}, ({ event }) => ({ doubled: event.data.n * 2 }));

define("parent", "fx/parent", {}, ({ step }) =>
  step.invoke("call-child", { function: child, data: { n: 21 } }));

define("parallel", "fx/parallel", {}, async ({ step }) => {
  const [l, r] = await Promise.all([step.run("left", () => "L"), step.run("right", () => "R")]);
  return l + r;
});

define("retry-step", "fx/retry", { retries: 2 }, ({ attempt, step }) =>
  step.run("flaky", () => {
    if (attempt === 0) throw new Error("flaky failure");
    return `ok on attempt ${attempt}`;
  }));

define("fail-fn", "fx/fail", {
  retries: 1,
  onFailure: ({ error }) => ({ handled: error.message }),
}, () => { throw new TypeError("always fails"); });

define("non-retriable", "fx/nonret", { retries: 3 }, ({ step }) =>
  step.run("bad", () => { throw new NonRetriableError("do not retry", { cause: new Error("root cause") }); }));

define("caught-step", "fx/caught", {}, async ({ step }) => {
  try {
    await step.run("will-fail", () => { throw new Error("step failed"); });
  } catch (err) {
    return `caught: ${err.message}`;
  }
});

define("cancellable", "fx/cancellable", {
  cancelOn: [{ event: "fx/cancel", if: "async.data.id == event.data.id" }],
}, async ({ step }) => {
  await step.run("before", () => 1);
  await step.sleep("long", "10m");
});

define("batched", "fx/batch", { batchEvents: { maxSize: 3, timeout: "10s" } }, ({ events }) => ({ count: events.length }));

define("debounced", "fx/debounce", { debounce: { key: "event.data.k", period: "2s" } }, ({ event }) => event.data.v);

define("sender", "fx/send", {}, ({ step }) =>
  step.sendEvent("emit", { name: "fx/hello", data: { name: "from sender" } }));

define("every-minute", cron("* * * * *"), {}, () => "tick");

define("singleton-skip", "fx/single", { singleton: { key: "event.data.k", mode: "skip" } }, async ({ step }) => {
  await step.sleep("hold", "4s");
  return "one";
});

define("signal-waiter", "fx/signal", {}, ({ step }) =>
  step.waitForSignal("sig", { signal: "fx-signal-1", timeout: "8s" }));

const serveFunctions = serve({ client, functions });
const server = http.createServer((req, res) => {
  if (req.url === "/health") return res.writeHead(200).end("ok");
  return serveFunctions(req, res);
});
server.listen(Number(process.env.PORT), "127.0.0.1");
