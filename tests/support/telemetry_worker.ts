/**
 * A program of the tests of telemetry: `{ engine, rootDir, telemetry }` as its argument, options of
 * its stash. Keys and values have the word that must not get out in them. It prints what came by the
 * channels of `node:diagnostics_channel`; spans and metrics go where `OTEL_` variables say, or to
 * the functions of `register`.
 */
import { subscribe } from "node:diagnostics_channel";
import { HashStash, type HashStashOptions } from "../../mod.ts";
import { EVENT_TYPES } from "../../store/events.ts";

/** The word that no exported byte may have. */
export const SECRET = "hunter2";

interface Span {
  end(): void;
}

interface Api {
  readonly trace: {
    getTracer(name: string): {
      startActiveSpan<T>(name: string, body: (span: Span) => T): T;
    };
  };
}

/** Runs a part of the program in a span of its own. */
async function inSpan(name: string, body: () => Promise<unknown>): Promise<void> {
  const api: Api = Reflect.get(globalThis, Symbol.for("opentelemetry.js.api.1"));
  await api.trace.getTracer("program").startActiveSpan(name, async (span) => {
    try {
      await body();
    } finally {
      span.end();
    }
  });
}

/** Uses a stash in every way that tells of something. */
export async function work(options: HashStashOptions): Promise<void> {
  await using stash = new HashStash({ name: "watched", ...options });
  const key = `${SECRET} of a key`;
  const value = `${SECRET} of a value`;
  const failing = () => Promise.reject(new RangeError(`${SECRET} of an error`));
  const f = stash.stashedResult(async (_: string) => {
    await inSpan("inside", async () => {});
    return value;
  }, { name: "f" });
  await inSpan("outside", async () => {
    await f(key);
    await f(key);
  });
  const numbers = stash.stashedResult(async function* (_: string) {
    yield await Promise.resolve(1);
    await inSpan("inside the generator", async () => {});
    yield 2;
  }, { name: "numbers" });
  await inSpan("outside the generator", async () => await Array.fromAsync(numbers(key)));
  const many = stash.stashedBatch(async (keys: string[]) => {
    await inSpan("inside the batch", async () => {});
    return keys.map(() => value);
  }, { name: "many" });
  await inSpan("outside the batch", async () => void await many(key));
  await many(key);
  await inSpan("together", async () => {
    const slow = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return value;
    };
    await Promise.all([stash.getOrSet(key, slow), stash.getOrSet(key, slow)]);
  });
  await inSpan("failing", async () => await f.stash.getOrSet(["other"], failing).catch(() => {}));
  await stash.setMany([[key, value], [{ key }, value]]);
  await stash.getMany([key, { key }, "absent"]);
  await stash.pop({ key });
  await stash.modify(key, () => value);
  await stash.modify(key, failing).catch(() => {});
  await stash.deleteMany([key, `${key} 2`]);
  await stash.set(key, value, { tags: [SECRET], ttl: 1 });
  await stash.invalidate({ tags: [SECRET] });
  await stash.invalidate({ prefix: SECRET });
  await stash.prune();
  await stash.clear({ deep: true });
  await using temporary = stash.tmp();
  await temporary.set(key, value);
  // A result that can't be stored, an entry that can't be read.
  await using small = new HashStash({
    name: "small",
    engine: "memory",
    engineOptions: { maxBytes: 2_000 },
    telemetry: options.telemetry,
  });
  await small.getOrSet(key, () => value.repeat(500));
  for (const end of ["a", "b", "c", "d"]) await small.set(`${key} ${end}`, value);
  await using writer = new HashStash({ name: "damaged", engine: "memory", serializer: "json" });
  await using reader = new HashStash({
    name: "damaged",
    engine: "memory",
    maxValueBytes: 10,
    telemetry: options.telemetry,
  });
  await writer.set(key, value);
  await reader.get(key).catch(() => {});
}

if (import.meta.main) {
  const messages: unknown[] = [];
  for (const type of EVENT_TYPES) {
    subscribe(`hashstash:${type}`, (message) => messages.push(message));
  }
  await work(JSON.parse(Deno.args[0]));
  console.log(JSON.stringify(messages));
}
