import { assertEquals, assertGreater, assertLess, assertRejects, assertThrows } from "@std/assert";
import { tryAgain, whileBusy } from "../../platform/retry.ts";

class Passing extends Error {}

const isPassing = (error: unknown) => error instanceof Passing;

Deno.test("tryAgain goes on until the action succeeds", async () => {
  let calls = 0;
  const result = await tryAgain(() => {
    if (++calls < 4) throw new Passing();
    return calls;
  }, isPassing);
  assertEquals(result, 4);
});

Deno.test("tryAgain takes what a promise rejects with like what is thrown", async () => {
  let calls = 0;
  const result = await tryAgain(
    () => ++calls < 3 ? Promise.reject(new Passing()) : Promise.resolve(calls),
    isPassing,
  );
  assertEquals(result, 3);
});

Deno.test("tryAgain ends with the first error that is not passing", async () => {
  let calls = 0;
  await assertRejects(
    () =>
      tryAgain(() => {
        throw ++calls < 3 ? new Passing() : new RangeError("of its own");
      }, isPassing),
    RangeError,
    "of its own",
  );
  assertEquals(calls, 3);
});

Deno.test("tryAgain gives up when the time is up, and leaves the event loop free", async () => {
  const start = performance.now();
  let calls = 0;
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  try {
    await assertRejects(() =>
      tryAgain(
        () => {
          calls++;
          throw new Passing("still so");
        },
        isPassing,
        60,
      ), Passing);
  } finally {
    clearInterval(timer);
  }
  const took = performance.now() - start;
  assertGreater(took, 60);
  // A pause of up to 50 ms may begin just before the end.
  assertLess(took, 2_000);
  assertGreater(calls, 2);
  assertGreater(ticks, 2);
});

Deno.test("whileBusy passes on the result, and an error that says nothing of a busy file", async () => {
  assertEquals(whileBusy(() => 1), 1);
  assertEquals(await whileBusy(() => Promise.resolve(2)), 2);
  let calls = 0;
  const fail = () => {
    calls++;
    return Deno.readFileSync(new URL("./absent", import.meta.url));
  };
  assertThrows(() => whileBusy(fail), Deno.errors.NotFound);
  await assertRejects(
    async () => await whileBusy(() => Promise.resolve().then(fail)),
    Deno.errors.NotFound,
  );
  assertEquals(calls, 2);
});
