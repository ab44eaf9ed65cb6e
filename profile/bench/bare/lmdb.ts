import { open } from "lmdb";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** npm:lmdb with its own settings: it flushes each commit, and writes of one turn share one. */
export function openBare(folder: string): Bare {
  const db = open<Uint8Array, string>({ path: folder, encoding: "binary" });
  const get = (key: string) => fromJSON(db.getBinary(key) ?? new Uint8Array());
  return {
    get,
    set: (key, value) => db.put(key, toJSON(value)),
    getMany: (keys) => keys.map(get),
    setMany(pairs) {
      let committed: unknown;
      for (const [key, value] of pairs) committed = db.put(key, toJSON(value));
      return committed;
    },
    close: () => db.close(),
  };
}
