import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { makeDatabase, startPostgres } from "../../support/postgres_server.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("startPostgres", strict, async (t) => {
  await t.step("a server that answers, dies, comes back, is emptied and goes", async () => {
    await using server = await startPostgres();
    await server.sql("CREATE TABLE t AS SELECT 'é' AS a");
    assertEquals(await server.sql("SELECT * FROM t"), "é");
    await server.kill();
    await server.restart();
    assertEquals(await server.sql("SELECT * FROM t"), "é");
    await server.stop();
    await server.wipe();
    await server.restart();
    assertEquals(await server.sql("SELECT to_regclass('t') IS NULL"), "t");
  });

  await t.step("a password and TLS", async () => {
    await using server = await startPostgres({ password: "geheim", tls: true });
    assertEquals(await server.sql("SHOW ssl"), "on");
    assertMatch(server.urlWith("a b"), /^postgres:\/\/postgres:a%20b@127\.0\.0\.1:\d+\/postgres$/);
    assertStringIncludes(server.ca ?? "", "BEGIN CERTIFICATE");
  });
});

Deno.test("makeDatabase: one server, databases apart", strict, async () => {
  await using one = await makeDatabase();
  await using other = await makeDatabase();
  assertNotEquals(one.url, other.url);
  assertEquals(new URL(one.url).host, new URL(other.url).host);
  await one.sql("CREATE TABLE t ()");
  assertEquals(await other.sql("SELECT to_regclass('t') IS NULL"), "t");
});
