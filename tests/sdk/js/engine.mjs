// Runs functions in the SDK's own test engine, without a server.

import { text } from "node:stream/consumers";

// engineRoute answers POST /engine?fn=ID, whose body is the data of an event,
// with what the function returned ({result}) or threw ({error}). The engine
// knows no retries, and nothing that ends a step but its own body.
export function engineRoute(Engine, app, functions) {
  return async (req, res) => {
    const id = new URL(req.url, "http://app").searchParams.get("fn");
    const fn = functions.find((fn) => fn.id() === id);
    if (!fn) return res.writeHead(404).end();
    const events = [{ name: `${app}/${id}`, data: JSON.parse(await text(req)) }];
    const { result, error } = await new Engine({ function: fn }).execute({ events });
    const answer = error === undefined ? { result } : { error: error.message };
    res.writeHead(200, { "content-type": "application/json" });
    res.end(JSON.stringify(answer));
  };
}
