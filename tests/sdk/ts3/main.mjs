// The SDK test app on version 3 of the TypeScript SDK.

import { encryptionMiddleware } from "@inngest/middleware-encryption";
import { InngestTestEngine } from "@inngest/test";
import { Inngest, InngestMiddleware, NonRetriableError, referenceFunction, RetryAfterError } from "inngest";
import { serve } from "inngest/node";

import { start } from "../js/app.mjs";

start({
  app: "ts3",
  checkpointing: true,
  client: (id, options) => new Inngest({ id, ...options }),
  createFunction: (client, options, triggers, handler) =>
    client.createFunction(options, triggers, handler),
  serve: ({ client, functions, stream }) =>
    serve({ client, functions, streaming: stream ? "force" : false }),
  referenceFunction,
  encryption: (key) => encryptionMiddleware({ key }),
  hooks: middlewareOf,
  Engine: InngestTestEngine,
  NonRetriableError,
  RetryAfterError,
});

function middlewareOf(hooks) {
  const onFunctionRun = ({ ctx: run }) => {
    let attempt;
    return {
      transformInput({ ctx }) {
        attempt = ctx.attempt;
        return { ctx: hooks.injected };
      },
      transformOutput({ result, step }) {
        if (result.error) return;
        const data = step ? hooks.stepOutput(result.data) : hooks.output(result.data);
        return { result: { data } };
      },
      finished({ result: { error } }) {
        if (error) hooks.note({ ...run, attempt }, "failed", { message: error.message });
        else hooks.note({ ...run, attempt }, "completed");
      },
    };
  };
  const onSendEvent = () => ({
    transformInput: ({ payloads }) => ({ payloads: payloads.map(hooks.stamp) }),
  });
  return new InngestMiddleware({ name: "hooks", init: () => ({ onFunctionRun, onSendEvent }) });
}
