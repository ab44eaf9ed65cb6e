import { assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { fileIdentity, SharedResources } from "../../engines/shared.ts";

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

Deno.test("a shared resource whose file was replaced is opened anew, and its holders are told", async () => {
  const log: string[] = [];
  const shared = new SharedResources<number>((number) => void log.push(`close ${number}`));
  let file: string | undefined;
  let opened = 0;
  const acquire = () =>
    shared.acquire("a", () => {
      file ??= "first";
      return ++opened;
    }, () => file);
  const first = await acquire();
  const second = await acquire();
  assertEquals([first.resource, second.resource], [1, 1]);
  file = "second";
  assertEquals([first.isOutdated(), second.isOutdated()], [false, false]);
  const third = await acquire();
  assertEquals([third.resource, third.isOutdated()], [2, false]);
  assertEquals([first.isOutdated(), second.isOutdated()], [true, true]);
  await first.release();
  await second.release();
  const fourth = await acquire();
  assertEquals([fourth.resource, log], [2, ["close 1"]]);
  await third.release();
  await fourth.release();
  assertEquals(log, ["close 1", "close 2"]);
});

Deno.test("a shared resource whose file can't be looked at is closed, and tried again", async () => {
  const log: string[] = [];
  const shared = new SharedResources<string>((name) => {
    log.push(`close ${name}`);
    if (name === "second") throw new Error("nor closed");
  });
  const identify = () => {
    throw new Error("not to be looked at");
  };
  for (const name of ["first", "second"]) {
    const acquire = () => shared.acquire("a", () => name, identify);
    const results = await Promise.allSettled([acquire(), acquire()]);
    for (const result of results) {
      assertEquals(result.status === "rejected" && result.reason.message, "not to be looked at");
    }
  }
  assertEquals(log, ["close first", "close second"]);
  const hold = await shared.acquire("a", () => "third", () => "file");
  assertEquals(hold.resource, "third");
  await hold.release();
});

Deno.test("a holder notices within a second that its file was removed", async () => {
  const shared = new SharedResources<string>(() => undefined);
  let file: string | undefined = "first";
  const hold = await shared.acquire("a", () => "a", () => file);
  file = undefined;
  assertEquals(hold.isOutdated(), false);
  await new Promise((resolve) => setTimeout(resolve, 1_001));
  assertEquals(hold.isOutdated(), true);
  await hold.release();
});

Deno.test("the identity of a file goes with it, not with its path", async () => {
  const root = await Deno.makeTempDir({ prefix: "hashstash_shared_" });
  const path = join(root, "file");
  assertEquals(fileIdentity(path), undefined);
  using _open = await Deno.open(path, { write: true, createNew: true });
  const before = fileIdentity(path);
  await Deno.writeTextFile(path, "more");
  assertEquals(fileIdentity(path), before);
  await Deno.remove(path);
  await Deno.writeTextFile(path, "another");
  assertNotEquals(fileIdentity(path), before);
  await Deno.rename(path, join(root, "moved"));
  assertEquals([fileIdentity(path), fileIdentity(join(path, "x"))], [undefined, undefined]);
  await Deno.remove(root, { recursive: true });
});

Deno.test("a holder notices at once that its file was replaced while it was opened", async () => {
  const shared = new SharedResources<string>(() => undefined);
  let file: string | undefined;
  const open = (next: string) => (opens: () => void) => {
    file = "made";
    opens();
    file = next;
    return next;
  };
  const hold = await shared.acquire("a", open("of somebody else"), () => file);
  assertEquals(hold.isOutdated(), true);
  const second = await shared.acquire("a", open("made"), () => file);
  assertEquals([second.resource, second.isOutdated()], ["made", false]);
  await hold.release();
  await second.release();
});
