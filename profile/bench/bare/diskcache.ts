import { dirname, join } from "node:path";
import { configureCache } from "../../../engines/diskcache/schema.ts";
import { nodeDriver } from "../../../engines/sqlite/node.ts";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** From this many bytes on, values are files. */
const LARGE = 32_768;

/**
 * What Python's DiskCache does for `get` and `set`: a row in a transaction, large values in files.
 */
export function openBare(folder: string): Bare {
  const connection = nodeDriver.connect(join(folder, "cache.db"), { busyTimeout: 0 });
  configureCache(connection);
  const select = connection.prepare(
    "SELECT filename, value FROM Cache WHERE key = ? AND raw = 1 " +
      "AND (expire_time IS NULL OR expire_time > ?)",
  );
  const find = connection.prepare("SELECT rowid, filename FROM Cache WHERE key = ? AND raw = 1");
  const insert = connection.prepare(
    "INSERT INTO Cache (key, raw, store_time, access_time, size, mode, filename, value) " +
      "VALUES (?, 1, ?, ?, ?, ?, ?, ?)",
  );
  const update = connection.prepare(
    "UPDATE Cache SET store_time = ?, access_time = ?, access_count = 0, expire_time = NULL, " +
      "size = ?, mode = ?, filename = ?, value = ? WHERE rowid = ?",
  );

  function put(key: string, value: unknown): string | undefined {
    const bytes = toJSON(value);
    const now = Date.now() / 1_000;
    const filename = bytes.byteLength < LARGE ? null : newFile(folder, bytes);
    const columns = filename === null ? [0, 1, null, bytes] : [bytes.byteLength, 2, filename, null];
    const row = find.get(key);
    if (row === undefined) insert.run(key, now, now, ...columns);
    else update.run(now, now, ...columns, row[0]);
    return row === undefined || row[1] === null ? undefined : String(row[1]);
  }

  function transaction(pairs: [string, unknown][]): void {
    connection.exec("BEGIN IMMEDIATE");
    const old = pairs.map(([key, value]) => put(key, value));
    connection.exec("COMMIT");
    for (const filename of old) {
      if (filename !== undefined) removeFile(folder, filename);
    }
  }

  function get(key: string): unknown {
    const [filename, value] = select.get(key, Date.now() / 1_000) ?? [];
    return fromJSON(
      typeof filename === "string"
        ? Deno.readFileSync(join(folder, filename))
        : value as Uint8Array,
    );
  }

  return {
    get,
    set: (key, value) => transaction([[key, value]]),
    getMany: (keys) => keys.map(get),
    setMany: transaction,
    close: () => connection.close(),
  };
}

function newFile(folder: string, bytes: Uint8Array): string {
  const hex = crypto.randomUUID().replaceAll("-", "");
  const filename = join(hex.slice(0, 2), hex.slice(2, 4), `${hex.slice(4)}.val`);
  Deno.mkdirSync(join(folder, dirname(filename)), { recursive: true });
  Deno.writeFileSync(join(folder, filename), bytes);
  return filename;
}

function removeFile(folder: string, filename: string): void {
  const path = join(folder, filename);
  Deno.removeSync(path);
  try {
    Deno.removeSync(dirname(path));
    Deno.removeSync(dirname(dirname(path)));
  } catch {
    // Another file is in it.
    return;
  }
}
