// An app with the SDK's extended traces. It is a process of its own, since they
// instrument all of it, and has one client, since they know one only.
//
//   /api/inngest     with checkpointing if CHECKPOINTING is "on"
//   /health          200 once spans are recorded, which takes a moment

import http from "node:http";

import { trace } from "@opentelemetry/api";
import { Inngest } from "inngest";
import { extendedTracesMiddleware } from "inngest/experimental";
import { serve } from "inngest/node";

const id = process.env.APP_ID;
const client = new Inngest({ id, checkpointing: process.env.CHECKPOINTING === "on", middleware: [extendedTracesMiddleware()] });
const traced = client.createFunction({ id: "run", triggers: [{ event: id + "/go" }] }, async ({ step }) => {
  const one = await step.run("first", () => query("one", 1));
  return step.run("second", () => query("two", one + 1));
});
const handler = serve({ client, functions: [traced] });

// recording tells whether the middleware has set up what records spans.
function recording() {
  const span = trace.getTracer("mine").startSpan("probe");
  const recorded = span.isRecording(); // no longer after its end
  span.end();
  return recorded;
}

// query makes a span of user code.
function query(name, value) {
  return trace.getTracer("mine").startActiveSpan("query " + name, (span) => {
    span.setAttribute("db.system", "none");
    span.end();
    return value;
  });
}

http
  .createServer((req, res) => {
    const { pathname } = new URL(req.url, "http://localhost");
    if (pathname === "/health") {
      res.statusCode = recording() ? 200 : 503;
      return res.end();
    }
    if (pathname === "/api/inngest") return handler(req, res);
    res.statusCode = 404;
    res.end();
  })
  .listen(Number(process.env.PORT), "127.0.0.1");
