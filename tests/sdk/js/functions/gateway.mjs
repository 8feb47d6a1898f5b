// Requests that the server makes for the app: step.fetch, step.ai.

export const gatewayFunctions = () => [
  {
    // data: {url, body}
    id: "fetch",
    body: async ({ data, run, step }) => {
      const res = await step.fetch(data.url, {
        method: "POST",
        headers: { "content-type": "application/json", "x-test": "sent" },
        body: JSON.stringify(data.body),
      });
      const answer = { status: res.status, pong: res.headers.get("x-pong"), body: await res.text() };
      await run("after");
      return answer;
    },
  },
  {
    // data: {url}: base URL of an OpenAI-like API
    id: "infer",
    retries: 1,
    body: async ({ data, run, step }) => {
      let outcome;
      try {
        const answer = await step.ai.infer("inf", {
          model: step.ai.models.openai({ model: "m-1", apiKey: "KEY", baseUrl: data.url }),
          body: { messages: [{ role: "user", content: "hi" }] },
        });
        outcome = { said: answer.choices[0].message.content };
      } catch (err) {
        outcome = { error: err.message };
      }
      await run("after");
      return outcome;
    },
  },
  {
    id: "ai-wrap",
    body: async ({ note, step }) =>
      step.ai.wrap("wrapped", async (word) => {
        note("wrapped");
        return { upper: word.toUpperCase() };
      }, "loud"),
  },
];
