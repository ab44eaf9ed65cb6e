import { assertEquals, assertRejects } from "@std/assert";
import { SharedResources } from "../../engines/shared.ts";

Deno.test("a shared resource is opened once and closed by its last holder", async () => {
  const log: string[] = [];
  const shared = new SharedResources<string>((name) => void log.push(`close ${name}`));
  const open = async () => {
    await Promise.resolve();
    log.push("open a");
    return "a";
  };
  const [first, second] = await Promise.all([shared.acquire("a", open), shared.acquire("a", open)]);
  assertEquals([first.resource, second.resource], ["a", "a"]);
  await first.release();
  await first.release();
  assertEquals(log, ["open a"]);
  await second.release();
  assertEquals(log, ["open a", "close a"]);
});

Deno.test("a shared resource that could not be opened is tried again", async () => {
  const shared = new SharedResources<number>(() => undefined);
  let attempts = 0;
  const open = () => {
    if (++attempts === 1) throw new Error("not now");
    return attempts;
  };
  await assertRejects(() => shared.acquire("a", open), Error, "not now");
  const hold = await shared.acquire("a", open);
  assertEquals(hold.resource, 2);
  await hold.release();
});

Deno.test("a shared resource is opened anew only after its close has ended", async () => {
  const log: string[] = [];
  const shared = new SharedResources<string>(async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    log.push("closed");
  });
  const open = () => {
    log.push("open");
    return "a";
  };
  const first = await shared.acquire("a", open);
  const closing = first.release();
  const second = await shared.acquire("a", open);
  assertEquals(log, ["open", "closed", "open"]);
  await closing;
  await second.release();
});
