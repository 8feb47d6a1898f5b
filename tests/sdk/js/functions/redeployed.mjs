// The functions of an app of which a new version is deployed.

import { holder } from "./flow.mjs";

// oldFunctions are those of the old version. "stays" has the event of "leaves",
// and so tells when an event has been looked at.
export const oldFunctions = ({ events, gates }) => [
  { id: "stays", on: [{ event: `${events}/leaves` }], body: async ({ run }) => { await run("stayed"); } },
  { id: "widens", flow: { concurrency: { limit: 1, key: "event.data.token" } }, body: holder(gates) },
  {
    id: "leaves",
    body: async ({ run, token }) => {
      await run("before", () => gates.pass(token));
      await run("after");
      return "left";
    },
  },
];

// newFunctions are those of the new version: one has another limit, and one is
// missing.
export const newFunctions = (app) => {
  const [stays, widens] = oldFunctions(app);
  return [stays, { ...widens, flow: { concurrency: { limit: 3, key: "event.data.token" } } }];
};
