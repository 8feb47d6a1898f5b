// The SDK test app on version 4 of the TypeScript SDK.

import { encryptionMiddleware } from "@inngest/middleware-encryption";
import { InngestTestEngine } from "@inngest/test";
import { experiment, Inngest, Middleware, NonRetriableError, referenceFunction, RetryAfterError, step } from "inngest";
import { createDefer, getAsyncCtx, metadataMiddleware, scoreMiddleware } from "inngest/experimental";
import { stream } from "inngest/experimental/durable-endpoints";
import { fetchWithStream } from "inngest/experimental/durable-endpoints/client";
import { endpointAdapter, serve, serveEndpoint } from "inngest/node";
import * as realtime from "inngest/realtime";

import { start } from "../js/app.mjs";

start({
  app: "ts4",
  // On by default in this version; the main app turns it off so that every
  // step is a request of its own.
  checkpointing: true,
  client: (id, { checkpointing, ...options }) =>
    new Inngest({ id, ...options, ...(checkpointing ? {} : { checkpointing: false }) }),
  createFunction: (client, options, triggers, handler) =>
    client.createFunction({ ...options, triggers }, handler),
  serve: ({ client, functions, stream }) => serve({ client, functions, streaming: stream }),
  referenceFunction,
  realtime,
  encryption: (key) => encryptionMiddleware({ key }),
  hooks: middlewareOf,
  Engine: InngestTestEngine,
  attached: { middleware: [metadataMiddleware(), scoreMiddleware()], experiment, deferredOf },
  endpoints: {
    client: (id) => new Inngest({ id, endpointAdapter }),
    listener: serveEndpoint,
    step,
    runId: async () => (await getAsyncCtx())?.execution?.ctx.runId ?? "",
    callee: referenceFunction({ appId: "ts4", functionId: "callee" }),
    stream,
    fetch: fetchWithStream,
  },
  NonRetriableError,
  RetryAfterError,
});

// deferredOf is the deferred function of a client; it defers itself as often as
// its data say.
function deferredOf(client, calls) {
  deferredOf.byClient ??= new Map();
  if (!deferredOf.byClient.has(client)) {
    const deferred = createDefer(client, { id: "deferred" }, async ({ defer, event, parents, runId, step }) => {
      const { token, depth } = event.data;
      await step.run("deferred", () => calls.record({ token, step: "deferred", attempt: 0, run: runId, detail: { depth, parent: parents[0] } }));
      if (depth > 0) defer("deeper", { function: deferred, data: { token, depth: depth - 1 } });
      return depth;
    });
    deferredOf.byClient.set(client, deferred);
  }
  return deferredOf.byClient.get(client);
}

function middlewareOf(hooks) {
  return class extends Middleware.BaseMiddleware {
    id = "hooks";
    transformSendEvent(arg) {
      return { ...arg, events: arg.events.map(hooks.stamp) };
    }
    transformFunctionInput(arg) {
      return { ...arg, ctx: { ...arg.ctx, ...hooks.injected } };
    }
    async wrapStepHandler({ next }) {
      return hooks.stepOutput(await next());
    }
    async wrapFunctionHandler({ next }) {
      return hooks.output(await next());
    }
    onRunComplete({ ctx }) {
      hooks.note(ctx, "completed");
    }
    onRunError({ ctx, error, isFinalAttempt }) {
      hooks.note(ctx, "failed", { message: error.message, isFinalAttempt });
    }
    onStepStart({ ctx, stepInfo }) {
      hooks.note(ctx, `starting ${stepInfo.options.id}`);
    }
    onStepComplete({ ctx, stepInfo }) {
      hooks.note(ctx, `ended ${stepInfo.options.id}`);
    }
  };
}
