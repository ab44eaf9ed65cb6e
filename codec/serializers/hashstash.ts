import { isBytes } from "../_leaves.ts";
import { isPlain, RICH } from "../_plain.ts";
import { refusing } from "../_refusal.ts";
import { toBytes } from "../_text.ts";
import { toTree } from "../_tree.ts";
import { serializeBytes } from "./_bytes.ts";
import { deserializeJson } from "./_json_text.ts";
import type { Format } from "./_types.ts";

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
