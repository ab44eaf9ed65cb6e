import { assertEquals, assertRejects } from "@std/assert";
import {
  delay,
  inTime,
  nextTick,
  now,
  startTimer,
  stopTimer,
  Turns,
} from "../../platform/timers.ts";

const late = () => new RangeError("too late");

Deno.test("inTime gives what the work gives, and leaves no timer", async () => {
  // The test runner fails a test that leaves one.
  assertEquals(await inTime(Promise.resolve("done"), 60_000, late), "done");
  assertEquals(await inTime("at once", 60_000, late), "at once");
  await assertRejects(
    () => inTime(Promise.reject(new TypeError("failed")), 60_000, late),
    TypeError,
    "failed",
  );
});

Deno.test("inTime rejects when the work takes longer", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await assertRejects(() => inTime(promise, 5, late), RangeError, "too late");
  resolve();
});

Deno.test("turns are due after some milliseconds, and let timers run", async () => {
  const turns = new Turns();
  assertEquals(turns.due(), false);
  let ran = false;
  const timer = setTimeout(() => ran = true, 0);
  while (!turns.due());
  await Promise.all([turns.next(), turns.next()]);
  clearTimeout(timer);
  assertEquals([ran, turns.due()], [true, false]);
});

Deno.test("nextTick comes after promises that are settled, and before timers", async () => {
  const order: string[] = [];
  const timer = delay(0).then(() => order.push("timer"));
  await undefined;
  nextTick(() => order.push("tick"));
  await Promise.resolve().then(() => order.push("promise")).then(() => order.push("its then"));
  await timer;
  assertEquals(order, ["promise", "its then", "tick", "timer"]);
});

/** Runs something while the program's timers and clocks stand still, as fake ones do. */
async function whileTimeStands(fn: () => Promise<void>): Promise<void> {
  const { setTimeout, clearTimeout } = globalThis;
  const clock = performance.now;
  try {
    globalThis.setTimeout = Object.assign(() => 0, setTimeout);
    globalThis.clearTimeout = () => undefined;
    performance.now = () => 0;
    await fn();
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
    performance.now = clock;
  }
}

Deno.test("fake timers and clocks of a test keep nothing waiting", async () => {
  await whileTimeStands(async () => {
    const start = now();
    await delay(2);
    assertEquals(now() - start >= 1, true);
    const turns = new Turns();
    while (!turns.due());
    await turns.next();
    const { promise, resolve } = Promise.withResolvers<void>();
    await assertRejects(() => inTime(promise, 2, late), RangeError, "too late");
    stopTimer(startTimer(() => resolve(), 60_000));
    startTimer(() => resolve(), 1);
    await promise;
  });
});
