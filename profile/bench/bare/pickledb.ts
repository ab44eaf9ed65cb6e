import { join } from "node:path";
import type { Bare } from "./bare.ts";

const encoder = new TextEncoder();

/**
 * A JSON file, and each value's text in memory. Each set saves the file as a whole, under another
 * name, flushes and renames it; each get looks whether another process has saved it.
 */
export function openBare(folder: string): Bare {
  const file = join(folder, "bare.json");
  const texts = new Map<string, string>();
  let saves = 0;
  let saved = 0;
  function save(): void {
    const lines = Array.from(texts, ([key, text]) => `${JSON.stringify(key)}: ${text}`);
    const temporary = `${file}.${++saves}`;
    {
      using opened = Deno.openSync(temporary, { write: true, createNew: true });
      const bytes = encoder.encode(`{\n${lines.join(",\n")}\n}\n`);
      for (let at = 0; at < bytes.length;) at += opened.writeSync(bytes.subarray(at));
      opened.syncDataSync();
    }
    Deno.renameSync(temporary, file);
    saved = timeOf(file);
  }
  function get(key: string): unknown {
    if (timeOf(file) !== saved) throw new Error(`${file} was saved by somebody else`);
    return JSON.parse(texts.get(key) ?? "null");
  }
  return {
    get,
    set(key, value) {
      texts.set(key, JSON.stringify(value));
      save();
    },
    getMany: (keys) => keys.map(get),
    setMany(pairs) {
      for (const [key, value] of pairs) texts.set(key, JSON.stringify(value));
      save();
    },
    close: () => undefined,
  };
}

function timeOf(file: string): number {
  return Deno.statSync(file).mtime?.getTime() ?? 0;
}
