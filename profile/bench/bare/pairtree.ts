import { join } from "node:path";
import { type Bare, fromJSON, toJSON } from "./bare.ts";

/** A file per key in one folder, written under another name and renamed. */
export function openBare(folder: string): Bare {
  let writes = 0;
  return {
    get: (key) => fromJSON(Deno.readFileSync(join(folder, key))),
    set(key, value) {
      const temporary = join(folder, `.${++writes}`);
      Deno.writeFileSync(temporary, toJSON(value));
      Deno.renameSync(temporary, join(folder, key));
    },
    close: () => undefined,
  };
}
