import { assert, assertEquals } from "@std/assert";
import { runScript } from "../../support/child.ts";
import { openRedis } from "../../support/redis.ts";
import { startRedis } from "../../support/redis_server.ts";
import { eventually } from "../../support/servers.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

/** ARGV: how many, and the text that their names end with. */
const FILL = "for i = 1, ARGV[1] do redis.call('SET', 'name:main:' .. i .. ARGV[2], 'v') end";

/** ARGV: how many there are, and those that stay. */
const REMOVE_OTHERS = `
  local stays = {}
  for i = 2, #ARGV do stays[ARGV[i]] = true end
  for i = 1, ARGV[1] do
    local name = 'name:main:' .. i
    if not stays[name] then redis.call('UNLINK', name) end
  end`;

Deno.test(
  "redis: a listing names each key once, though the server's table shrinks",
  strict,
  async () => {
    // More than a listing remembers.
    const count = 150_000;
    await using server = await startRedis();
    await using engine = await openRedis({ url: server.url });
    await server.cli("EVAL", FILL, "0", String(count), "");
    const order = (await server.cli("--scan")).split("\n");
    assertEquals(order.length, count);
    // What the listing is at when all else goes: a part of it then shares a bucket with what comes next.
    const stays = order.slice(80_000, 82_000);
    const listed = new Map<string, number>();
    let all = 0;
    for await (const key of engine.keys()) {
      listed.set(`name:main:${key}`, (listed.get(`name:main:${key}`) ?? 0) + 1);
      if (++all !== 80_500) continue;
      await server.cli("EVAL", REMOVE_OTHERS, "0", String(count), ...stays);
      await eventually(async () => {
        const table = await server.cli("DEBUG", "HTSTATS", "0");
        assert(/table size: 2048\b/.test(table) && !table.includes("rehashing"), table);
      });
    }
    assertEquals(stays.filter((name) => listed.get(name) !== 1), []);
    assertEquals(await engine.size(), stays.length);
  },
);

Deno.test("redis: a listing keeps no list of all names", strict, async () => {
  await using server = await startRedis();
  const count = 200_000;
  await server.cli("EVAL", FILL, "0", String(count), "x".repeat(500));
  const script = `
    import { HashStash } from "./mod.ts";
    const engineOptions = { url: "${server.url}" };
    await using stash = new HashStash({ name: "name", engine: "redis", engineOptions });
    console.log(await stash.size());
  `;
  // All of them have 100 MB.
  const { success, stdout, stderr } = await runScript(script, [
    "-A",
    "--v8-flags=--max-old-space-size=80",
  ]);
  assert(success, stderr);
  assertEquals(stdout.trim(), String(count));
});
