// The SDK test app on version 4 of the TypeScript SDK.

import { encryptionMiddleware } from "@inngest/middleware-encryption";
import { InngestTestEngine } from "@inngest/test";
import { Inngest, Middleware, NonRetriableError, referenceFunction, RetryAfterError, step } from "inngest";
import { getAsyncCtx } from "inngest/experimental";
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
  endpoints: {
    client: (id) => new Inngest({ id, endpointAdapter }),
    listener: serveEndpoint,
    step,
    runId: async () => (await getAsyncCtx())?.execution?.ctx.runId ?? "",
    callee: referenceFunction({ appId: "ts4", functionId: "callee" }),
  },
  NonRetriableError,
  RetryAfterError,
});

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
