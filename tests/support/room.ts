/** A temporary folder, and the handles that a test opens in it. */
import { complete, type CompleteEngine } from "../../engines/complete.ts";
import type { Engine, NewEntry } from "../../engines/engine.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Closes what was opened and removes the folder when the test ends. */
export class Room implements AsyncDisposable {
  readonly folder: string = Deno.makeTempDirSync({ prefix: "hashstash_" });
  readonly #stack = new AsyncDisposableStack();

  /** Opens a handle. */
  async open(engine: Engine): Promise<CompleteEngine> {
    const handle = complete(engine);
    await handle.open();
    this.#stack.defer(() => handle.close());
    return handle;
  }

  /** Has something done when the test ends, before the folder goes. */
  defer(action: () => void | Promise<void>): void {
    this.#stack.defer(action);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Makes a function that registers tests with a room each. */
export function roomTests(
  label: string,
): (name: string, fn: (room: Room) => Promise<void>) => void {
  return (name, fn) =>
    Deno.test({
      name: `${label} ${name}`,
      sanitizeOps: true,
      sanitizeResources: true,
      async fn() {
        await using room = new Room();
        await fn(room);
      },
    });
}

/** An entry of text or bytes, set now. */
export function entryOf(value: string | Uint8Array, expiresAt?: number): NewEntry {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return { value: bytes, timestamp: Date.now(), ...(expiresAt === undefined ? {} : { expiresAt }) };
}

/** The text under a key; `undefined` for none. */
export async function textUnder(engine: Engine, key: string): Promise<string | undefined> {
  const found = await engine.get(key);
  return found && decoder.decode(found.value);
}

/** All keys, sorted. */
export async function keysOf(engine: Engine, prefix?: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const key of engine.keys(prefix)) keys.push(key);
  return keys.sort();
}
