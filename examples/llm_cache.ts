/**
 * A language model behind an HTTP API is asked each question once, whoever asks and how often. Run
 * it twice: the second run asks nothing.
 *
 *     deno run -A examples/llm_cache.ts
 *
 * The API is a local server that this program starts itself. It speaks the protocol of OpenAI's
 * chat completions, takes its time, fails at times, and counts what it is asked.
 */
import { HashStash } from "../mod.ts";

interface Message {
  role: "system" | "user";
  content: string;
}

interface Question {
  model: string;
  messages: Message[];
  temperature?: number;
}

interface Answer {
  content: string;
  tokens: number;
}

// ---- The API ----

let requests = 0;

function reply({ messages }: Question): string[] {
  const words = messages.at(-1)!.content.replace(/[^\w ]/g, "").split(" ");
  return ["You", "asked", "about", ...words.slice(-2)];
}

const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
  requests++;
  const question: Question & { stream?: boolean } = await request.json();
  await new Promise((resolve) => setTimeout(resolve, 150));
  if (requests === 2) return new Response("Too many requests", { status: 429 });
  const words = reply(question);
  if (!question.stream) {
    const message = { role: "assistant", content: words.join(" ") };
    return Response.json({ choices: [{ message }], usage: { total_tokens: words.length } });
  }
  return new Response(
    ReadableStream.from((async function* () {
      for (const word of words) {
        await new Promise((resolve) => setTimeout(resolve, 40));
        const chunk = { choices: [{ delta: { content: `${word} ` } }] };
        yield new TextEncoder().encode(`data: ${JSON.stringify(chunk)}\n\n`);
      }
    })()),
  );
});
const url = `http://127.0.0.1:${server.addr.port}/v1/chat/completions`;

// ---- The cache ----

await using stash = new HashStash({ name: "llm_cache" });

async function post(body: object): Promise<Response> {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) {
    throw new Error(`The API answered ${response.status}: ${await response.text()}`);
  }
  return response;
}

/** The question is the key: model, messages and temperature in any order. A failure is not kept. */
const ask = stash.stashedResult(async (question: Question): Promise<Answer> => {
  const { choices, usage } = await (await post(question)).json();
  return { content: choices[0].message.content, tokens: usage.total_tokens };
}, { name: "ask", ttl: 30 * 24 * 60 * 60 * 1_000 });

/** Words as they come; the next time as they were. */
const stream = stash.stashedResult(async function* (question: Question) {
  const response = await post({ ...question, stream: true });
  let rest = "";
  for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
    const events = (rest + text).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      yield JSON.parse(event.slice("data: ".length)).choices[0].delta.content as string;
    }
  }
}, { name: "stream" });

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await work();
  console.log(`${what}: ${Math.round(performance.now() - start)} ms`);
  return result;
}

const user = (content: string): Question => ({
  model: "local-model",
  messages: [{ role: "user", content }],
  temperature: 0,
});

// Ten callers ask the same at once: one request.
const [first] = await timed(
  "10 equal questions at once",
  () => Promise.all(Array.from({ length: 10 }, () => ask(user("What is a stash of hash?")))),
);
console.log(` ${first.content} (${first.tokens} tokens)`);

// The API fails: the error reaches the caller and is not kept, so asking again helps.
const second = await timed(
  "a question that may fail",
  () =>
    ask(user("Why is the sky blue?")).catch((error) => {
      console.log(` ${error.message}, asking again`);
      return ask(user("Why is the sky blue?"));
    }),
);
console.log(` ${second.content}`);

await timed("a streamed answer", async () => {
  let text = "";
  for await (const word of stream(user("Tell me of old maps"))) text += word;
  console.log(` ${text}`);
});

const table = await ask.stash.table();
const total = Array.from(table.array("tokens"), Number).reduce((sum, tokens) => sum + tokens, 0);
console.log(`${table.numRows()} answers kept, ${total} tokens in all`);
console.log(`Requests to the API in this run: ${requests}`);
await server.shutdown();
