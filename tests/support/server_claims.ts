/** What holds of every engine that is a server's: redis and postgres are judged by the same claims. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
} from "@std/assert";
import { EngineError } from "../../engines/errors.ts";
import type { Store } from "./bed.ts";
import { entryOf, textAt } from "./entries.ts";
import { eventually } from "./servers.ts";

/** A password that no message may have. */
export const SECRET = "s3cret&word";

/** Claims that the work fails as engines do, soon, and that what it says holds no secret. */
export async function fails(
  work: () => unknown,
  includes: string,
  operation: string,
  within = 3_000,
): Promise<EngineError> {
  const start = performance.now();
  const error = await assertRejects(async () => await work(), EngineError, includes);
  assertLess(performance.now() - start, within);
  assertEquals(error.operation, operation);
  const shown = Deno.inspect(error, { depth: 20 }) + error.stack + JSON.stringify(error);
  for (const secret of [SECRET, encodeURIComponent(SECRET)]) assert(!shown.includes(secret), shown);
  return error;
}

/** Shows another time while the work runs, as on a machine whose clock is wrong. */
async function shifted<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const { now } = Date;
  Date.now = () => now() + ms;
  try {
    return await work();
  } finally {
    Date.now = now;
  }
}

/** How to look at the deadlines that a server has. */
export interface DeadlineServer {
  open(options?: { timeout: number }): Promise<Store & AsyncDisposable>;
  /** For how much longer the server keeps the entry, ms. */
  left(key: string): Promise<number>;
  /** The deadline of the entry as the server has it, ms since the epoch. */
  deadline(key: string): Promise<number>;
}

/** Claims that a clock which is wrong by so many ms moves no deadline. */
export async function movesNoDeadline(ms: number, server: DeadlineServer): Promise<void> {
  let begin = 0;
  // What is left ends while it is asked for, for long on a busy machine.
  const near = (actual: number, expected: number) => {
    const allowed = 1_000 + performance.now() - begin;
    assertLessOrEqual(Math.abs(actual - expected), allowed, `${actual}, not ${expected}`);
  };
  // One that was right when the connection was made, and one that was wrong from the start.
  await using early = await server.open();
  await shifted(ms, async () => {
    await using late = await server.open({ timeout: 4_000 });
    for (const engine of [early, late]) {
      begin = performance.now();
      const soon = Date.now() + 9_000;
      await engine.set("set", entryOf("value", soon));
      await engine.setMany([["many", entryOf("value", soon)], ["forever", entryOf("value")]]);
      assert(await engine.compareAndSet("swapped", undefined, entryOf("value", soon)));
      const keys = ["set", "many", "swapped"];
      for (const key of keys) {
        near(await server.left(key), 9_000);
        near((await engine.get(key))?.expiresAt ?? 0, soon);
      }
      for (const entry of await engine.getMany(keys)) near(entry?.expiresAt ?? 0, soon);
      const [forever] = await engine.getMany(["forever", "absent"]);
      assertEquals(forever?.expiresAt, undefined);
      // What was read stays the state that it is.
      const current = await engine.get("set");
      assert(await engine.compareAndSet("set", current, entryOf("next", Date.now() + 20_000)));
      near(await server.left("set"), 20_000);
      assert(!await engine.compareAndSet("set", current, entryOf("no")));
      await engine.set("past", entryOf("value", Date.now() - 1));
      assertEquals(await engine.has("past"), false);
      assertEquals(await engine.deleteMany(keys), 3);
    }
  });
  // Right again: exact again, at the latest when the clocks have been compared once more.
  await eventually(async () => {
    const deadline = Date.now() + 60_000;
    await early.set("set", entryOf("value", deadline));
    assertEquals(await server.deadline("set"), deadline);
  });
}

/**
 * Claims that an increment is made once or not at all while the connection is cut again and again.
 *
 * @param cut Cuts all connections.
 */
export async function incrementsOnce(engine: Store, cut: () => Promise<unknown>): Promise<void> {
  await engine.set("counter", entryOf("0"));
  let sure = 0, unsure = 0;
  const end = Date.now() + 700;
  const cutting = (async () => {
    while (Date.now() < end) await cut();
  })();
  while (Date.now() < end) {
    try {
      const current = await engine.get("counter");
      const count = Number(new TextDecoder().decode(current?.value));
      try {
        if (await engine.compareAndSet("counter", current, entryOf(String(count + 1)))) sure++;
      } catch (error) {
        assertInstanceOf(error, EngineError);
        unsure++;
      }
    } catch (error) {
      assertInstanceOf(error, EngineError);
    }
  }
  await cutting;
  let counted = 0;
  await eventually(async () => counted = Number(await textAt(engine, "counter")));
  assert(
    counted >= sure && counted <= sure + unsure,
    `${counted}: ${sure} sure, ${unsure} unsure`,
  );
}
