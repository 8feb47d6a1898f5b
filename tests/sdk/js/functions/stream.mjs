// Functions whose app streams its responses.

export const streamFunctions = ({ NonRetriableError, RetryAfterError }) => [
  {
    // A slow step makes the stream send white space before its answer.
    id: "stream",
    retries: 2,
    body: async ({ attempt, run, step }) => {
      const a = await run("a", () => 1);
      const slow = await run("slow", () => new Promise((done) => setTimeout(() => done("s"), 1200)));
      await step.sleep("nap", "1s");
      const flaky = await run("flaky", () => {
        if (attempt === 0) throw new Error("first time");
        return "f";
      });
      return { a, slow, flaky };
    },
  },
  {
    // No-retry exists only among the headers inside the stream.
    id: "stream-non-retriable",
    retries: 3,
    body: async ({ note }) => {
      note("body");
      throw new NonRetriableError("streamed refusal");
    },
  },
  {
    // So does Retry-After.
    id: "stream-retry-after",
    retries: 1,
    body: async ({ attempt, note }) => {
      note("body");
      if (attempt === 0) throw new RetryAfterError("slow down", "3s");
      return "done";
    },
  },
];
