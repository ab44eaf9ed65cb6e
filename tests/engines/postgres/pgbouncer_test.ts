/** The postgres engine behind PgBouncer, whose clients share connections to the server. */
import { assertEquals, assertRejects } from "@std/assert";
import { HashStash } from "../../../mod.ts";
import { entryOf, textAt } from "../../support/entries.ts";
import { PgBouncer } from "../../support/pgbouncer.ts";
import { openPostgres } from "../../support/postgres.ts";
import { startPostgres } from "../../support/postgres_server.ts";
import { eventually } from "../../support/servers.ts";

const strict = { sanitizeOps: true, sanitizeResources: true };
const HOUR = 3_600_000;

Deno.test("postgres: a pool that loses what is listened for", strict, async () => {
  await using server = await startPostgres();
  await using bouncer = await PgBouncer.start(server, "transaction", 1);
  // One of a process, as this PgBouncer may not keep prepared statements apart.
  const options = { url: bouncer.url, pool: 1, timeout: 1_000 };
  await using engine = await openPostgres(options);
  await engine.set("key", entryOf("value"));
  const subscribe = async () => await engine.bus()!.subscribe(() => {}, () => {});
  const error = await assertRejects(subscribe, Error, "what NOTIFY sends does not arrive");
  assertEquals(error.message.includes("near: { bus: false }"), true);
  assertEquals(await textAt(engine, "key"), "value");

  await using stash = new HashStash({
    name: "pooled",
    engine: "postgres",
    engineOptions: options,
    near: { ttl: 100 },
  });
  const errors: Error[] = [];
  stash.events.addEventListener("error", (event) => {
    errors.push((event as CustomEvent<{ error: Error }>).detail.error);
  });
  await stash.set("k", 1);
  await eventually(() => assertEquals(errors[0]?.message, error.message));
  await server.sql("UPDATE hashstash SET value = '2' WHERE store = 'pooled:main'");
  await eventually(async () => assertEquals(await stash.get("k"), 2));
});

Deno.test("postgres: near behind a pool whose clients keep their connection", strict, async () => {
  await using server = await startPostgres();
  await using bouncer = await PgBouncer.start(server, "session", 20);
  const make = (application: string) =>
    new HashStash({
      name: "pooled",
      engine: "postgres",
      engineOptions: { url: `${bouncer.url}?application_name=${application}` },
      near: { ttl: HOUR },
    });
  await using stash = make("one");
  // As one of another process: near tiers are common to those of this one.
  await using bus = await openPostgres({ url: server.url }, { name: "pooled", dbname: "main" });
  const heard: string[] = [];
  const end = await bus.bus()!.subscribe((message) => heard.push(message), () => {});
  await stash.set("k", 1);
  await eventually(() => assertEquals(heard.length, 1));
  await server.sql("UPDATE hashstash SET value = '2' WHERE store = 'pooled:main'");
  await eventually(async () => {
    await bus.bus()!.publish(heard[0].replace(/"from":"[^"]*"/, '"from":"another process"'));
    assertEquals(await stash.get("k"), 2);
  });
  await end();
});

Deno.test("postgres: a pool that does not keep prepared statements apart", strict, async () => {
  await using server = await startPostgres();
  await using bouncer = await PgBouncer.start(server, "transaction", 1);
  const open = (application: string) =>
    openPostgres({ url: `${bouncer.url}?application_name=${application}`, pool: 1 });
  await using one = await open("one");
  await using two = await open("two");
  await one.set("key", entryOf("value"));
  if (bouncer.keepsStatements) {
    await two.set("key", entryOf("other"));
    assertEquals(await textAt(one, "key"), "other");
    return;
  }
  const error = await assertRejects(
    async () => await two.set("key", entryOf("other")),
    Error,
    "does not keep prepared statements apart",
  );
  assertEquals(error.message.includes("max_prepared_statements"), true);
  assertEquals(await textAt(one, "key"), "value");
});
