import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { startRedis, startRedisCluster } from "../../support/redis_server.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };

Deno.test("startRedis", strict, async (t) => {
  await t.step("a server that answers, dies, comes back and goes", async () => {
    await using server = await startRedis();
    assertEquals(await server.cli("SET", "a", "é"), "OK");
    assertEquals(await server.cli("GET", "a"), "é");
    await server.kill();
    await server.restart();
    assertEquals(await server.cli("EXISTS", "a"), "0");
  });

  await t.step("a durable one keeps what it acknowledged", async () => {
    await using server = await startRedis({ durable: true });
    await server.cli("SET", "a", "1");
    await server.kill();
    await server.restart();
    assertEquals(await server.cli("GET", "a"), "1");
  });

  await t.step("a password and TLS", async () => {
    await using server = await startRedis({ password: "geheim", tls: true });
    assertEquals(await server.cli("PING"), "PONG");
    assertMatch(server.url, /^rediss:\/\/127\.0\.0\.1:\d+$/);
    assertStringIncludes(server.ca ?? "", "BEGIN CERTIFICATE");
    using connection = await Deno.connectTls({
      hostname: "127.0.0.1",
      port: server.port,
      caCerts: [server.ca ?? ""],
    });
    await connection.handshake();
  });
});

Deno.test("startRedisCluster", strict, async () => {
  await using cluster = await startRedisCluster();
  const answers = await Promise.all(cluster.nodes.map((node) => node.cli("SET", "a", "1")));
  assertEquals(answers.filter((answer) => answer === "OK").length, 1);
  assertEquals(answers.filter((answer) => answer.startsWith("MOVED")).length, 2);
});
