import { Buffer } from "node:buffer";
import pg from "pg";
import { startPostgres } from "../../../tests/support/postgres_server.ts";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** A connection of npm:pg, as far as it is used here. */
interface Client {
  connect(): Promise<void>;
  query(query: { name?: string; text: string; values?: unknown[]; rowMode: "array" }): Promise<
    { rows: Buffer[][] }
  >;
  end(): Promise<void>;
}

/** npm:pg with a table of keys and values, on a server of its own, which the stash uses too. */
export async function openBare(): Promise<Bare> {
  const server = await startPostgres();
  const client = new pg.Client(server.url) as Client;
  await client.connect();
  const run = (name: string, text: string, values: unknown[]) =>
    client.query({ name, text, values, rowMode: "array" });
  await client.query({
    text: "CREATE TABLE bare (key text PRIMARY KEY, value bytea NOT NULL)",
    rowMode: "array",
  });
  const buffer = (value: unknown) => {
    const { buffer, byteOffset, byteLength } = toJSON(value);
    return Buffer.from(buffer, byteOffset, byteLength);
  };
  const upsert = "ON CONFLICT (key) DO UPDATE SET value = excluded.value";
  return {
    engineOptions: { url: server.url },
    get: async (key) => {
      const { rows } = await run("get", "SELECT value FROM bare WHERE key = $1", [key]);
      return fromJSON(rows[0][0]);
    },
    set: (key, value) =>
      run("set", `INSERT INTO bare VALUES ($1, $2) ${upsert}`, [key, buffer(value)]),
    getMany: async (keys) => {
      const text = "SELECT key, value FROM bare WHERE key = ANY ($1)";
      const { rows } = await run("getMany", text, [keys]);
      const found = new Map(rows.map(([key, value]) => [String(key), value]));
      return keys.map((key) => fromJSON(found.get(key) ?? Buffer.from("")));
    },
    setMany: (pairs) =>
      run(
        "setMany",
        `INSERT INTO bare SELECT * FROM unnest($1::text[], $2::bytea[]) ${upsert}`,
        [pairs.map(([key]) => key), pairs.map(([, value]) => buffer(value))],
      ),
    async close() {
      await client.end();
      await server[Symbol.asyncDispose]();
    },
  };
}
