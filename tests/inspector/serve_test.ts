/** The command serve: in a process of its own, as a person starts it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { HashStash } from "../../mod.ts";
import { linesOf } from "../support/child.ts";
import { hashstash, hashstashArguments } from "../support/cli.ts";

/** A folder with a stash in it. */
async function withStash(body: (options: string[], rootDir: string) => Promise<void>) {
  const rootDir = await Deno.makeTempDir();
  try {
    await using stash = new HashStash({ engine: "pairtree", name: "served", rootDir });
    await stash.set("greeting", { text: "hello" });
    await body(["--name", "served", "--root", rootDir], rootDir);
  } finally {
    await Deno.remove(rootDir, { recursive: true });
  }
}

/** Runs it until the body is done, which gets the address that it prints. */
async function serving(
  args: string[],
  body: (address: URL, child: Deno.ChildProcess) => Promise<void>,
): Promise<{ status: Deno.CommandStatus; stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...hashstashArguments, "serve", ...args],
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const stderr = new Response(child.stderr).text();
  const lines = linesOf(child.stdout);
  try {
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`It has ended: ${await stderr}`);
    await body(new URL(args.includes("--json") ? JSON.parse(value).url : value), child);
    child.kill("SIGINT");
    return { status: await child.status, stderr: await stderr };
  } finally {
    await lines.return();
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await child.status;
    await stderr;
  }
}

/** Signs in as a browser does; the headers of further requests. */
async function signIn(address: URL): Promise<Record<string, string>> {
  const response = await fetch(address, { redirect: "manual" });
  await response.body?.cancel();
  assertEquals(response.status, 303);
  return { cookie: response.headers.get("set-cookie")!.split(";")[0] };
}

Deno.test("serve prints an address that opens the page, and Ctrl-C ends it", async () => {
  await withStash(async (options) => {
    const tokens: string[] = [];
    for (const json of [[], ["--json"]]) {
      const { status, stderr } = await serving([...options, ...json], async (address) => {
        assertEquals(address.hostname, "127.0.0.1");
        const token = address.searchParams.get("token")!;
        assertMatch(token, /^[0-9a-f-]{36}$/);
        tokens.push(token);
        const headers = await signIn(address);
        const page = await (await fetch(address.origin, { headers })).text();
        assertStringIncludes(page, "greeting");
        assertStringIncludes(page, "read-only");
        const refused = await fetch(address.origin);
        assertStringIncludes(await refused.text(), "Not signed in");
        assertEquals(refused.status, 401);
        // A page that watches is open when it ends.
        const events = await fetch(`${address.origin}/events`, { headers });
        void events.body!.pipeTo(new WritableStream()).catch(() => undefined);
      });
      assertEquals([status.code, status.signal, stderr], [0, null, ""]);
    }
    assert(tokens[0] !== tokens[1], "a token of its own each time");
  });
});

Deno.test("serve --write changes what is stored, and says where a port is in use", async () => {
  await withStash(async (options, rootDir) => {
    await serving([...options, "--write"], async (address) => {
      const headers = await signIn(address);
      const page = await (await fetch(`${address.origin}/?key=greeting`, { headers })).text();
      const [, was] = /data-was="(\w+)"/.exec(page)!;
      const response = await fetch(`${address.origin}/set`, {
        method: "POST",
        headers: { ...headers, origin: address.origin, "content-type": "application/json" },
        body: JSON.stringify({ store: "main", key: "greeting", was, json: '"changed"' }),
      });
      assertEquals([response.status, await response.text()], [200, "Saved\n"]);
      await using stash = new HashStash({ engine: "pairtree", name: "served", rootDir });
      assertEquals(await stash.get("greeting"), "changed");
      const second = await hashstash(["serve", ...options, "--port", address.port]);
      assertEquals(second.code, 1);
      assertEquals(
        second.stderr,
        `hashstash serve: port ${address.port} is in use: pass another one, or none for a free one\n`,
      );
    });
  });
});

Deno.test("serve refuses what it can't serve, and makes nothing", async () => {
  await withStash(async (options, rootDir) => {
    for (const port of ["x", "-1", "1.5", "65536", ""]) {
      const { code, stderr } = await hashstash(["serve", ...options, `--port=${port}`]);
      assertEquals(code, 2, stderr);
      assertStringIncludes(stderr, "--port");
    }
    assertEquals((await hashstash(["serve", "more", ...options])).code, 2);
    const absent = await hashstash(["serve", "--name", "absent", "--root", rootDir]);
    assertEquals(absent.code, 1);
    assertStringIncludes(absent.stderr, "nothing is stored in");
    assertEquals([...Deno.readDirSync(rootDir)].map(({ name }) => name), ["served"]);
  });
});
