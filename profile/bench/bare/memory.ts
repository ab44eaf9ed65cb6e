import type { Bare } from "./bare.ts";

/** A Map of JSON texts. */
export function openBare(): Bare {
  const map = new Map<string, string>();
  return {
    get: (key) => JSON.parse(map.get(key) ?? ""),
    set: (key, value) => map.set(key, JSON.stringify(value)),
    close: () => map.clear(),
  };
}
