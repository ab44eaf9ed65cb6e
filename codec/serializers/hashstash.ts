import { isBytes } from "../leaves.ts";
import { isPlain, RICH } from "../plain.ts";
import { refusing } from "../refusal.ts";
import { toBytes } from "../text.ts";
import { toTree } from "../tree.ts";
import { serializeBytes } from "./bytes.ts";
import { deserializeJson } from "./json_text.ts";
import type { Format } from "./types.ts";

/** Plain JSON where that is exact, bytes as they are, and else a tagged tree in JSON. */
export const hashstash: Format = {
  name: "hashstash",
  serialize: (value) =>
    refusing("Cannot serialize value", () => {
      if (isBytes(value)) return serializeBytes(value);
      return toBytes(JSON.stringify(isPlain(value) ? value : { [RICH]: toTree(value) }));
    }),
  deserialize: deserializeJson,
};
