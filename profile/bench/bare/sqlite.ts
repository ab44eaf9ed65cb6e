import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** A table of keys and values, write-ahead log, prepared statements. */
export function openBare(folder: string): Bare {
  const database = new DatabaseSync(join(folder, "bare.db"));
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; " +
      "CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB)",
  );
  const select = database.prepare("SELECT value FROM entries WHERE key = ?");
  const upsert = database.prepare(
    "INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );
  const get = (key: string) => fromJSON(select.get(key)?.value as Uint8Array);
  const set = (key: string, value: unknown) => void upsert.run(key, toJSON(value));
  return {
    get,
    set,
    getMany(keys) {
      database.exec("BEGIN");
      const values = keys.map(get);
      database.exec("COMMIT");
      return values;
    },
    setMany(pairs) {
      database.exec("BEGIN IMMEDIATE");
      for (const [key, value] of pairs) set(key, value);
      database.exec("COMMIT");
    },
    close: () => database.close(),
  };
}
