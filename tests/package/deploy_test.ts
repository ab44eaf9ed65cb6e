/**
 * The example for Deno Deploy: over HTTP, with the permissions it names and no others, and what its
 * graph holds.
 */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { join } from "node:path";
import { outputOf, ROOT, ROOT_URL } from "../../dev/run.ts";
import { eventually } from "../support/servers.ts";

const EXAMPLE = join(ROOT, "examples/deploy.ts");

interface Stats {
  readonly sets: number;
  readonly nearHits: number;
}

/** The service as another process, with a KV of its own. */
class Service implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly url: string;

  private constructor(child: Deno.ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(folder: string): Promise<Service> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--cached-only",
        "--unstable-kv",
        `--allow-net=127.0.0.1:${port}`,
        EXAMPLE,
        String(port),
      ],
      // Deno's own KV of a program lies below this folder.
      env: { DENO_DIR: folder },
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    const service = new Service(child, `http://127.0.0.1:${port}`);
    for (let tries = 0;; tries++) {
      try {
        await (await fetch(`${service.url}/stats`)).body?.cancel();
        return service;
      } catch (error) {
        if (tries === 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async ask(
    path: string,
    method = "GET",
  ): Promise<{ status: number; from: string | null; body: unknown }> {
    const response = await fetch(this.url + path, { method });
    const text = await response.text();
    return {
      status: response.status,
      from: response.headers.get("x-from"),
      body: text === "" ? undefined : JSON.parse(text),
    };
  }

  /** Tells it to end, as Deno Deploy does; its exit code. */
  async end(): Promise<number> {
    this.#child.kill("SIGINT");
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }
}

Deno.test("the service computes once, answers from memory, keeps in KV, forgets", async () => {
  const folder = await Deno.makeTempDir();
  const body = { number: 600851475143, factors: [71, 839, 1471, 6857] };
  const path = "/factors/600851475143";
  try {
    {
      await using service = await Service.start(folder);
      const answers = await Promise.all(Array.from({ length: 20 }, () => service.ask(path)));
      for (const answer of answers) assertEquals([answer.status, answer.body], [200, body]);
      const { sets } = (await service.ask("/stats")).body as Stats;
      assertEquals(sets, 1);
      assertEquals((await service.ask(path)).from, "kept");
      assertEquals((await service.ask("/elsewhere")).status, 404);
    }
    {
      // Killed, and started anew: memory is empty, KV is not.
      await using service = await Service.start(folder);
      const nearHits = async () => ((await service.ask("/stats")).body as Stats).nearHits;
      assertEquals([(await service.ask(path)).from, await nearHits()], ["kept", 0]);
      // It is kept in memory from when other instances can tell of changes.
      await eventually(async () => {
        assertEquals((await service.ask(path)).from, "kept");
        assertGreater(await nearHits(), 0);
      });
      assertEquals((await service.ask(path, "DELETE")).status, 204);
      assertEquals((await service.ask(path, "DELETE")).status, 404);
      assertEquals((await service.ask(path)).from, "computed");
      assertEquals(await service.end(), 0);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("its graph holds our files alone: no npm package, no FFI", async () => {
  const { stdout, success } = await outputOf(["info", "--json", EXAMPLE]);
  assert(success);
  const { modules } = JSON.parse(stdout) as {
    modules: { specifier: string; dependencies?: { code?: { specifier?: string } }[] }[];
  };
  const run = new Set([
    modules.find(({ specifier }) => specifier.endsWith("/examples/deploy.ts"))!.specifier,
  ]);
  for (const specifier of run) {
    const module = modules.find((module) => module.specifier === specifier);
    for (const { code } of module?.dependencies ?? []) if (code?.specifier) run.add(code.specifier);
  }
  const ours = ROOT_URL.href;
  const others = [...run].filter((specifier) =>
    !specifier.startsWith(ours) && !specifier.startsWith("node:")
  );
  assertEquals(others, []);
  assert(run.has(`${ours}engines/shelve/mod.ts`) && run.has(`${ours}engines/memory/mod.ts`));
});
